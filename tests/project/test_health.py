"""Is it alive, is it ready, how much waits."""

import re

import pytest
import redis
from django.test import Client

from shop import clock
from tests.factories import make_buyer, make_course, make_request


def test_alive_without_any_dependency(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "valkey": "ok"})


@pytest.mark.django_db
@pytest.mark.usefixtures("valkey_away")
def test_ready_without_valkey_since_orders_can_be_taken(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "valkey": "unreachable"})


@pytest.mark.django_db
def test_metrics_count_what_waits(client: Client) -> None:
    make_request(make_buyer(), make_course(), now=clock.now())
    text = client.get("/metrics").content.decode()
    assert 'work_due_rows{table="shop_orderrequest"} 1.0' in text
    assert 'work_due_rows{table="payments_notification"} 0.0' in text
    assert 'work_dead_rows{table="shop_orderrequest"} 0.0' in text
    assert "alipay_notifications_total" in text


@pytest.mark.django_db
def test_metrics_tell_how_full_valkey_is(client: Client, valkey: redis.Redis) -> None:
    def ratio() -> float:
        found = re.search(r'^valkey_memory_used_ratio\{server="store"\} (\S+)$', client.get("/metrics").content.decode(), re.MULTILINE)
        assert found is not None
        return float(found[1])

    before = ratio()
    valkey.set("filling", "x" * 30_000_000)
    assert 0.1 < ratio() - before < 0.4  # 30 MB of 256, and what the server sets aside for them
    assert 'valkey_reachable{server="broker"} 1.0' in client.get("/metrics").content.decode()
