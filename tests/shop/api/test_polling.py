"""Polls of `orders/{number}/` over the API: their cost and their answers."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from pytest_django import Settings

from shop import clock
from shop import valkey as shop_valkey
from shop.api import polls
from shop.domain.ordering import creation
from shop.models import Account, Course, Order, OrderRequest
from shop.states import CourseStatus
from tests import orderlives
from tests.clients import Api, answered, refused
from tests.factories import make_buyer
from tests.orderlives import LIVES, make_paid, make_pending, make_waiting
from tests.variants import first_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def api(buyer: Account) -> Api:
    return Api(buyer)


def url_of(order_number: str) -> str:
    return f"/api/v1/orders/{order_number}/"


def counted(api: Api, url: str, **headers: str) -> tuple[Any, int]:
    """The response, and the number of its SQL statements."""
    with CaptureQueriesContext(connection) as captured:
        response = api.get(url, headers=headers)
    return response, len(captured)


def told(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """A response with all headers except the request's id."""
    assert response["X-Request-ID"]
    return (
        response.status_code,
        response.content,
        {name: value for name, value in response.headers.items() if name != "X-Request-ID"},
    )


def decide(order_number: str) -> None:
    creation.create_orders(
        [OrderRequest.objects.get(order_number=order_number).pk], now=clock.now(), cause="test"
    )


@pytest.mark.parametrize("life", LIVES)
def test_every_path_gives_the_same_answer(api: Api, buyer: Account, life: str) -> None:
    """Read, cached, and through DRF; with and without the ETag."""
    url = url_of(LIVES[life](buyer))
    through_drf, read_costs = counted(api, f"{url}?wait=0")
    shop_valkey.client().flushdb()
    read = api.get(url)
    remembered, costs = counted(api, url)
    assert (read_costs, costs) == (2, 0)
    assert told(through_drf) == told(read) == told(remembered)
    unchanged, costs = counted(api, url, **{"If-None-Match": read["ETag"]})
    assert costs == 0
    assert told(unchanged) == told(api.get(f"{url}?wait=0", headers={"If-None-Match": read["ETag"]}))
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    for headers in (read, remembered, unchanged):
        assert headers.get("Retry-After") == {"pending": "1", "awaiting payment": "2", "cancelling": "2"}.get(
            life
        )
        assert headers["Cache-Control"] == "private, no-cache"
        assert headers["Content-Security-Policy"]


@pytest.mark.parametrize("tag", ['"x"', 'W/"x"', "nonsense", '"x", W/"y"', '"*"', ""])
def test_poll_with_another_tag_gets_the_whole_answer(api: Api, buyer: Account, tag: str) -> None:
    url = url_of(make_pending(buyer))
    first = api.get(url)
    again, costs = counted(api, url, **{"If-None-Match": tag})
    assert (told(again), costs) == (told(first), 0)


@pytest.mark.parametrize(
    "form", ["{tag}", "W/{tag}", '"x", {tag}', '"x",W/{tag} , "y"', "*", " * ", '"x", "a,b", {tag}']
)
@pytest.mark.parametrize("query", ["", "?wait=0"])
def test_known_tag_is_recognised_in_every_form(api: Api, buyer: Account, form: str, query: str) -> None:
    """RFC 9110: weakly compared, in a list, or `*`. A proxy that compresses makes tags weak."""
    url = url_of(make_waiting(buyer)) + query
    tag = api.get(url)["ETag"]
    unchanged = api.get(url, headers={"If-None-Match": form.format(tag=tag)})
    assert (unchanged.status_code, unchanged["ETag"], unchanged["Retry-After"]) == (304, tag, "2")


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
def test_known_tag_is_held_in_every_form(api: Api, buyer: Account, form: str) -> None:
    url = url_of(make_waiting(buyer))
    tag = api.get(url)["ETag"]
    started = time.monotonic()
    assert api.get(f"{url}?wait=1", headers={"If-None-Match": form.format(tag=tag)}).status_code == 304
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("life", LIVES)
def test_tag_is_the_body_s(api: Api, buyer: Account, life: str, settings: Settings) -> None:
    """At every point of an order's life, even where only the time changes the answer."""
    url = url_of(LIVES[life](buyer))
    told_by_tag: dict[str, bytes] = {}
    for offset_s in (
        0,
        settings.ORDER_TTL_S - 5,
        settings.ORDER_TTL_S,
        settings.ORDER_TTL_S + settings.ORDER_GRACE_S + 1,
    ):
        settings.CLOCK_OFFSET_S = offset_s
        shop_valkey.client().flushdb()
        response = api.get(url)
        assert told_by_tag.setdefault(response["ETag"], response.content) == response.content
    assert len(set(told_by_tag.values())) == len(told_by_tag) == (2 if life == "awaiting payment" else 1)


def test_deadline_is_news_to_a_held_poll(api: Api, buyer: Account, settings: Settings) -> None:
    url = url_of(make_waiting(buyer))
    etag = api.get(url)["ETag"]
    settings.CLOCK_OFFSET_S = settings.ORDER_TTL_S
    late = api.get(f"{url}?wait=20", headers={"If-None-Match": etag})
    assert (answered(late)["pay_url"], answered(late)["payment_state"]) == (None, "overdue")


def test_first_poll_costs_two_statements_and_no_other_any(api: Api, buyer: Account) -> None:
    # the token is cached the second time
    assert [counted(api, url_of(make_pending(buyer)))[1] for _ in range(2)] == [2, 1]
    url = url_of(make_waiting(buyer))
    assert [counted(api, url)[1] for _ in range(4)] == [1, 0, 0, 0]


def test_token_is_the_only_statement_for_another_login(api: Api, buyer: Account) -> None:
    url = url_of(make_pending(buyer))
    api.get(url)
    assert [counted(Api(buyer), url)[1], counted(api, url)[1]] == [1, 0]


@pytest.mark.parametrize("accept", sorted(polls._ORDINARY_ACCEPT))
def test_usual_accept_header_costs_nothing(api: Api, buyer: Account, accept: str) -> None:
    url = url_of(make_paid(buyer))
    through_drf = api.get(f"{url}?wait=0", headers={"Accept": accept})
    api.get(url)
    remembered, costs = counted(api, url, Accept=accept)
    assert (told(remembered), costs) == (told(through_drf), 0)


@pytest.mark.parametrize(
    "accept", ["application/json; indent=4", "application/*", "text/html, application/json"]
)
def test_unusual_accept_header_is_respected(api: Api, buyer: Account, accept: str) -> None:
    url = url_of(make_paid(buyer))
    plain = api.get(url)
    wished = api.get(url, headers={"Accept": accept})
    assert wished.json() == plain.json()
    assert (b"\n    " in wished.content) == ("indent" in accept)
    assert refused(api.get(url, headers={"Accept": "text/html"}))[0] == 406


def reject(order_number: str) -> None:
    """Its course is no longer on sale."""
    Course.objects.update(status=CourseStatus.OFFLINE)
    decide(order_number)


NEWS: dict[str, tuple[Callable[[Account], str], Callable[[str], None], str]] = {
    "created": (make_pending, decide, "awaiting_payment"),
    "rejected": (make_pending, reject, "rejected"),
    "paid": (make_waiting, orderlives.finish, "paid"),
    "asked to be cancelled": (make_waiting, orderlives.cancel, "awaiting_payment"),
    "cancelled": (orderlives.make_cancelling, orderlives.close, "cancelled"),
    "expired": (make_waiting, orderlives.close, "expired"),
    "refunded": (make_paid, orderlives.refund, "refunded"),
}


@pytest.mark.parametrize("event", NEWS)
@pytest.mark.parametrize("has_tag", [True, False])
def test_change_is_answered_at_once(api: Api, buyer: Account, event: str, has_tag: bool) -> None:
    make, happen, status = NEWS[event]
    order_number = make(buyer)
    url = url_of(order_number)
    first = api.get(url)
    headers = {"If-None-Match": first["ETag"]} if has_tag else {}
    assert api.get(url, headers=headers).status_code == (304 if has_tag else 200)
    happen(order_number)
    news, costs = counted(api, url, **headers)
    assert (answered(news)["status"], costs) == (status, 1)
    assert news["ETag"] != first["ETag"]
    again, costs = counted(api, url)
    assert (told(again), costs) == (told(news), 0)


@pytest.mark.parametrize(
    "etag", ['"pending-0"', "*", "", "nonsense", '"pending-00000000000"', 'W/"pending-0"', '"%s-0"', None]
)
def test_stranger_learns_nothing(api: Api, buyer: Account, etag: str | None) -> None:
    """Neither by guessing the tag, nor by knowing the number while the answer is cached."""
    url = url_of(make_pending(buyer))
    answered(api.get(url))
    stranger = Api(make_buyer())
    headers = {} if etag is None else {"If-None-Match": etag}
    for address in (url, url, f"{url}?wait=0"):
        response = stranger.get(address, headers=headers)
        assert refused(response) == (404, 1001, "order_not_found")
        assert told(response) == told(stranger.get(url_of("NOBODYS"), headers=headers))
    assert refused(Api().get(url, headers=headers)) == (401, 1101, "not_authenticated")
    assert counted(api, url)[1] == 0  # and the buyer's poll costs the same


def test_strangers_poll_does_not_affect_the_buyer(api: Api, buyer: Account) -> None:
    url = url_of(make_pending(buyer))
    assert Api(make_buyer()).get(url).status_code == 404
    assert [answered(api.get(url))["status"] for _ in range(2)] == ["pending"] * 2


def test_ended_token_is_forgotten(api: Api, buyer: Account) -> None:
    url = url_of(make_pending(buyer))
    etag = api.get(url)["ETag"]
    assert api.get(url).status_code == 200
    assert api.post("/api/v1/auth/logout/").status_code == 204
    for headers in ({}, {"If-None-Match": etag}):
        for _ in range(2):
            assert refused(api.get(url, headers=headers)) == (401, 1101, "not_authenticated")


def test_expired_token_is_refused(api: Api, buyer: Account) -> None:
    url = url_of(make_pending(buyer))
    api.get(url)
    AuthToken.objects.update(expiry=clock.now())
    shop_valkey.client().flushdb()
    assert refused(api.get(url)) == (401, 1101, "not_authenticated")


def test_payment_link_disappears_at_its_deadline(api: Api, buyer: Account, settings: Settings) -> None:
    """Nothing changes then, and the answer is cached; only the time removes the link."""
    order_number = make_waiting(buyer)
    url = url_of(order_number)
    first = api.get(url)
    assert counted(api, url)[1] == 0
    assert "/pay/" in answered(first)["pay_url"]
    settings.CLOCK_OFFSET_S = settings.ORDER_TTL_S
    late, costs = counted(api, url)
    assert (answered(late), late["ETag"], costs) == (
        answered(first) | {"pay_url": None, "payment_state": "overdue"},
        late["ETag"],
        1,
    )
    assert late["ETag"] != first["ETag"]
    assert told(late) == told(api.get(f"{url}?wait=0"))


def test_payment_link_disappears_with_the_request_to_cancel(api: Api, buyer: Account) -> None:
    """Opening it would be refused."""
    order_number = make_waiting(buyer)
    assert "/pay/" in answered(api.get(url_of(order_number)))["pay_url"]
    orderlives.cancel(order_number)
    seen = answered(api.get(url_of(order_number)))
    assert (seen["status"], seen["pay_url"], seen["timeline"][-1]["kind"]) == (
        "awaiting_payment",
        None,
        "cancel_requested",
    )


class FaultyValkey:
    """A client with one fault at the `at`th command: the command or its answer is lost, or everything is
    flushed before it.
    """

    def __init__(self, client: Any, fault: str, at: int) -> None:
        self._client, self._fault, self._left = client, fault, at
        self.hit: str | None = None

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._client, name)

        def run(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left != 0:
                return command(*args, **options)
            self.hit = name
            if self._fault == "flushed":
                self._client.flushdb()
                return command(*args, **options)
            if self._fault == "answer lost":
                command(*args, **options)
            raise redis.TimeoutError

        return run


@pytest.mark.parametrize("fault", ["flushed", *first_of("command lost", "answer lost")])
def test_answers_are_right_wherever_valkey_fails(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each command of an order's life in turn.

    Only if the removal itself is lost may the buyer see the older state, for a while.
    """
    client = shop_valkey.client()
    for at in range(1, 100):
        client.flushdb()
        faulty = FaultyValkey(client, fault, at)
        monkeypatch.setattr(shop_valkey, "client", lambda faulty=faulty: faulty)
        live_and_be_followed(faulty, may_lag=fault == "command lost")
        if faulty.hit is None:
            break
    assert at > 20


def live_and_be_followed(faulty: FaultyValkey, *, may_lag: bool) -> None:
    buyer = make_buyer()
    api, order_number = Api(buyer), make_pending(buyer)
    told_before = []
    for happen in (None, decide, orderlives.finish, orderlives.refund):
        if happen is not None:
            happen(order_number)
        for _ in range(3):
            body = answered(api.get(url_of(order_number)))
            if not (may_lag and faulty.hit == "delete"):
                order = Order.objects.filter(order_number=order_number).first()
                assert body["status"] == (order.status if order else "pending")
            told_before.append(len(body["timeline"]))
    assert told_before == sorted(told_before)


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_the_database_answers(api: Api, buyer: Account) -> None:
    order_number = make_pending(buyer)
    url = url_of(order_number)
    assert [counted(api, url)[1] for _ in range(2)] == [2, 2]
    assert told(api.get(url)) == told(api.get(f"{url}?wait=0"))
    decide(order_number)
    assert answered(api.get(url))["status"] == "awaiting_payment"
    assert api.post("/api/v1/auth/logout/").status_code == 204
    assert refused(api.get(url)) == (401, 1101, "not_authenticated")
