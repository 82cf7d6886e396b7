"""Each notification fault, seen from the shop."""

import json
from typing import Any

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Received, Shop


def notify(simulator: Simulator, shop: Shop, kind: str, count: int = 1, **rule: Any) -> list[Received]:
    simulator.fault(kind, **rule)
    simulator.pay_order("C1", notify_url=shop.url)
    return shop.wait_for(count)


def test_duplicate(simulator: Simulator, shop: Shop) -> None:
    received = notify(simulator, shop, "duplicate", 3, params={"count": 2})
    assert len({message.fields()["notify_id"] for message in received}) == 1
    assert len(simulator.order("C1")["notifications"]) == 1


def test_concurrent(simulator: Simulator, shop: Shop) -> None:
    shop.delay_s = 0.5
    simulator.fault("concurrent", params={"count": 3})
    simulator.pay_order("C1", notify_url=shop.url)
    # One after the other they would take two seconds.
    assert len(shop.wait_for(4, timeout_s=1.2)) == 4


def test_reorder(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    simulator.fault("reorder")
    simulator.pay_order("C1", notify_url=shop.url)
    simulator.pay_order("C2", notify_url=shop.url)
    assert [message.fields()["out_trade_no"] for message in shop.wait_for(2)] == ["C2", "C1"]


def test_reordered_notification_comes_alone_if_nothing_follows(simulator: Simulator, shop: Shop) -> None:
    simulator.fault("reorder", params={"seconds": 60})
    simulator.pay_order("C1", notify_url=shop.url)
    simulator.advance(59)
    assert shop.received == []
    simulator.advance(2)
    assert len(shop.received) == 1


def test_delay(simulator: Simulator, shop: Shop) -> None:
    simulator.fault("delay", params={"seconds": 600})
    simulator.pay_order("C1", notify_url=shop.url)
    simulator.advance(590)
    assert shop.received == []
    simulator.advance(11)
    assert len(shop.received) == 1


def test_delay_beyond_expiry(simulator: Simulator, shop: Shop) -> None:
    simulator.fault("delay", params={"beyond_expiry": True})
    simulator.pay_order("C1", notify_url=shop.url, timeout_express="30m")
    simulator.advance(1800)
    assert shop.received == []
    simulator.advance(61)
    fields = shop.wait_for(1)[0].fields()
    assert fields["notify_time"] > fields["gmt_payment"]


def test_drop(simulator: Simulator, shop: Shop) -> None:
    simulator.fault("drop")
    simulator.pay_order("C1", notify_url=shop.url)
    simulator.advance(2 * 86_400)
    assert (shop.received, simulator.order("C1")["notifications"][0]["state"]) == ([], "dropped")


@pytest.mark.parametrize("kind", ["wrong_key", "sha1", "tamper"])
def test_false_signatures(simulator: Simulator, sdk: GatewayAliPay, shop: Shop, kind: str) -> None:
    fields = notify(simulator, shop, kind)[0].fields()
    assert (len(fields["sign"]), fields["sign_type"]) == (344, "RSA2")
    assert not sdk.is_genuine(fields)


def test_sign_type_missing(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    fields = notify(simulator, shop, "sign_type_missing")[0].fields()
    assert "sign_type" not in fields
    # The SDK then assumes its own type, so the shop has to check it.
    assert sdk.is_genuine(fields)


def test_sign_type_rsa(simulator: Simulator, shop: Shop) -> None:
    assert notify(simulator, shop, "sign_type_rsa")[0].fields()["sign_type"] == "RSA"


@pytest.mark.parametrize(
    "change", [{"total_amount": "0.01"}, {"app_id": "2021000000000099"}, {"seller_id": "2088000000000099"}]
)
def test_change_is_validly_signed(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop, change: dict[str, str]
) -> None:
    fields = notify(simulator, shop, "change", params={"fields": change})[0].fields()
    assert sdk.is_genuine(fields)
    assert {name: fields[name] for name in change} == change


def test_unknown_order(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    fields = notify(simulator, shop, "unknown_order")[0].fields()
    assert sdk.is_genuine(fields)
    assert fields["out_trade_no"] == "UNKNOWNC1"


def test_extra_fields(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    fields = notify(simulator, shop, "extra_fields")[0].fields()
    assert sdk.is_genuine(fields)
    assert fields["future_field"] == "1"


def test_gbk(simulator: Simulator, shop: Shop) -> None:
    received = notify(simulator, shop, "gbk")[0]
    assert received.headers["Content-Type"].endswith("charset=GBK")
    assert (received.fields("gbk")["subject"], received.fields("gbk")["charset"]) == ("微服务", "GBK")


def test_merged_fields_keep_the_signature(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    fields = notify(simulator, shop, "merged_fields")[0].fields()
    assert sdk.is_genuine(fields)
    assert "gmt_payment" not in fields
    assert "&gmt_payment=" in fields["gmt_create"]


def test_json_body(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    received = notify(simulator, shop, "json_body")[0]
    assert received.headers["Content-Type"] == "application/json;charset=utf-8"
    assert sdk.is_genuine(json.loads(received.body))


def test_replay_old(simulator: Simulator, shop: Shop) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.fault("replay_old")
    simulator.pay_order("C2", notify_url=shop.url)
    first, replayed, new = shop.wait_for(3)
    assert replayed.body == first.body
    assert new.fields()["out_trade_no"] == "C2"


def test_replay_old_waits_for_an_old_one(simulator: Simulator, shop: Shop) -> None:
    simulator.fault("replay_old")
    simulator.pay_order("C1", notify_url=shop.url)
    [first] = shop.wait_for(1)
    simulator.pay_order("C2", notify_url=shop.url)
    _, replayed, new = shop.wait_for(3)
    assert replayed.body == first.body
    assert new.fields()["out_trade_no"] == "C2"


def test_a_faulty_delivery_is_retried_properly(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    shop.answers = [(200, b"fail")]
    notify(simulator, shop, "wrong_key")
    simulator.advance(241)
    assert [sdk.is_genuine(message.fields()) for message in shop.wait_for(2)] == [False, True]
    assert simulator.order("C1")["notifications"][0]["deliveries"][0]["faults"] == ["wrong_key"]
