"""Valkey starts with a new password and the data of before: carts and queues stay, and whoever has the old
password is refused.
"""

from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
from kombu.exceptions import OperationalError
from pytest_django import Settings

from project.local.valkey import ValkeyServer
from shop import valkey as shop_valkey
from shop.models import Account, Course
from shop.tasks import create_orders
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course
from tests.shopping import V1, body_of, post_order, put_in_cart

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(60)]
QUEUE = "orders"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path / "valkey", "one")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shopping(server: ValkeyServer, settings: Settings) -> Iterator[tuple[Api, Account, Course]]:
    """A buyer with a course in a cart on that server."""
    use(server, settings)
    buyer, course = make_buyer(), make_course("80.00")
    api = Api(buyer)
    put_in_cart(api, course)
    yield api, buyer, course
    shop_valkey.client().close()
    shop_valkey.client.cache_clear()


def use(server: ValkeyServer, settings: Settings) -> None:
    """What a restart with another REDIS_URL does."""
    settings.REDIS_URL = server.url()
    shop_valkey.client.cache_clear()


def change_password(server: ValkeyServer) -> None:
    server.stop()
    server.password = "two"
    server.start()


def test_cart_is_there_with_the_new_password_and_refused_with_the_old_one(
    server: ValkeyServer, shopping: tuple[Api, Account, Course], settings: Settings
) -> None:
    api, _, course = shopping
    cart = answered(api.get(f"{V1}/cart/"))
    assert list(cart) == [str(course.pk)]
    change_password(server)
    assert refused(api.get(f"{V1}/cart/"))[0] == 503
    use(server, settings)
    assert answered(api.get(f"{V1}/cart/")) == cart


def test_order_is_taken_with_the_old_password(
    server: ValkeyServer, shopping: tuple[Api, Account, Course]
) -> None:
    """Between the server's restart and the shop's own: neither limits nor wake-ups need Valkey."""
    api, _, course = shopping
    change_password(server)
    placed = answered(post_order(api, body_of(course, alipay="80.00")), 202)
    create_orders()
    assert answered(api.get(placed["url"]))["status"] == "awaiting_payment"


def test_queued_message_is_delivered_after_the_change(server: ValkeyServer) -> None:
    old = server.url()
    with kombu.Connection(old) as connection:
        connection.SimpleQueue(QUEUE).put("wake up")
    change_password(server)
    with (
        pytest.raises(OperationalError, match="invalid username-password"),
        kombu.Connection(old) as stranger,
    ):
        stranger.ensure_connection(max_retries=1, interval_start=0)
    with kombu.Connection(server.url()) as connection:
        message = connection.SimpleQueue(QUEUE).get(timeout=5)
        assert message.payload == "wake up"
        message.ack()
