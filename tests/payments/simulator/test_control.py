"""The control API and the panel."""

import re
from typing import Any

import httpx
import pytest

from payments.simulator.app import create_app
from payments.simulator.control.openapi import PATHS, describe_api
from payments.simulator.fault_kinds import KINDS
from payments.simulator.fault_params import MERGEABLE
from payments.simulator.gateway_faults import find_delivery
from payments.simulator.messages import MUTATIONS
from payments.simulator.notifications import PLANNING_FAULTS
from payments.simulator.notifier import COPIES, REPLAY, Notifier
from payments.simulator.simulation import Simulation
from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop


def test_every_route_is_described_and_every_description_is_a_route(tmp_path: Any) -> None:
    sim = Simulation(tmp_path)
    notifier = Notifier(sim)
    rules = create_app(sim, notifier).url_map.iter_rules()
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), verb.lower())
        for rule in rules
        if rule.rule.startswith("/control/")
        for verb in rule.methods or ()
        if verb not in {"HEAD", "OPTIONS"}
    }
    notifier.close()
    sim.close()
    assert routes == {(path, verb) for path, calls in PATHS.items() for verb in calls}


def test_openapi_is_served(simulator: Simulator) -> None:
    assert simulator.control("GET", "/openapi.json") == describe_api()


def test_every_notification_fault_does_something() -> None:
    notification = {kind.name for kind in KINDS.values() if kind.category == "notification"}
    assert notification == set(MUTATIONS) | set(PLANNING_FAULTS) | COPIES | REPLAY
    assert callable(find_delivery)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nonsense"},
        {},
        {"kind": "hang", "params": {"colour": "red"}},
        {"kind": "hang", "params": {"seconds": "long"}},
        {"kind": "hang", "probability": 2},
        {"kind": "hang", "times": 0},
        {"kind": "hang", "order": "C1"},
        {"kind": "http_error", "params": {"status": 200}},
        {"kind": "concurrent", "params": {"count": 1_000_000}},
        {"kind": "hang", "times": 10**30},
        {"kind": "hang", "times": True},
        {"kind": "hang", "skip": False},
        {"kind": "hang", "skip": -1},
        # A rule that could never act.
        {"kind": "hang", "probability": 0},
        {"kind": "hang", "probability": -0.5},
        {"kind": "hang", "probability": True},
        {"kind": "hang", "out_trade_no": None},
        {"kind": "hang", "trade_status": "TRADE_SUCCESS"},
        {"kind": "drop", "method": "alipay.trade.query"},
        {"kind": "drop", "trade_status": "PAID"},
        {"kind": "bill_extra", "out_trade_no": "C1"},
        {"kind": "bill_missing", "trade_status": "TRADE_SUCCESS"},
        *({"kind": "bill_amount", "params": {"difference": text}} for text in
          ("0", "0.00", "-0.00", "", "-", "+1.00", "0.001", "1e2", "much", 0.01, None)),
        *({"kind": kind, "params": {"seconds": seconds}}
          for kind in ("hang", "slow", "drip", "reorder", "delay", "refund_pending")
          for seconds in (0, -1, 1e12, True, None)),
        *({"kind": kind, "params": {"count": count}}
          for kind in ("duplicate", "concurrent") for count in (0, -1, 1.0, True)),
        {"kind": "call_limited", "params": {"per_second": -1}},
        {"kind": "call_limited", "params": {"per_second": 1e12}},
        {"kind": "http_error", "params": {"status": -502}},
        {"kind": "http_error", "params": {"after_commit": 1}},
        {"kind": "change"},
        {"kind": "change", "params": {"fields": {"sign": "x"}}},
        {"kind": "change", "params": {"fields": {"sign_type": "RSA"}}},
        {"kind": "change", "params": {"fields": {"total_amount": None}}},
        {"kind": "tamper", "params": {"fields": {}}},
        {"kind": "tamper", "params": {"fields": {"total_amount": ["0.01"]}}},
        {"kind": "extra_fields", "params": {"fields": {}}},
        {"kind": "extra_fields", "params": {"fields": {"future_field": ""}}},
        {"kind": "merged_fields", "params": {"into": "nonsense"}},
        {"kind": "merged_fields", "params": {"into": "version"}},
        {"kind": "merged_fields", "params": {"into": "sign"}},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_faults_are_refused(simulator: Simulator, rule: dict[str, Any]) -> None:
    assert "error" in simulator.control("POST", "/faults", rule, status=400)
    assert simulator.control("GET", "/faults")["faults"] == []


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_without_end_are_refused(simulator: Simulator, word: str) -> None:
    """Python reads them in JSON."""
    body = f'{{"kind": "slow", "params": {{"seconds": {word}}}}}'
    answer = simulator.http.post(
        "/control/faults", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert simulator.control("GET", "/faults")["faults"] == []


def test_mutations_of_a_crafted_notification_are_checked_too(simulator: Simulator) -> None:
    simulator.pay_order("C1")
    craft = {"out_trade_no": "C1", "url": simulator.url, "mutations": [{"kind": "change"}]}
    assert "fields" in simulator.control("POST", "/notifications/craft", craft, status=400)["error"]


def test_every_kind_but_one_has_defaults_that_are_allowed(simulator: Simulator) -> None:
    refused = []
    for kind in KINDS:
        answer = simulator.http.post("/control/faults", json={"kind": kind})
        refused += [kind] if answer.status_code == 400 else []
    assert refused == ["change"]  # which fields it changes has to be said


@pytest.mark.parametrize(
    "change",
    [
        {"colour": 1},
        {"escape_slashes": "yes"},
        {"return_order": "never"},
        {"retry_intervals_s": ["x"]},
        {"notify_triggers": {"boat": []}},
        {"service_fee_per_mille": -6},
        {"service_fee_per_mille": 0.5},
    ],
)
def test_invalid_settings_are_refused(simulator: Simulator, change: dict[str, Any]) -> None:
    before = simulator.control("GET", "/state")["settings"]
    assert "error" in simulator.control(
        "PATCH", "/settings", {"service_fee_per_mille": 1, **change}, status=400
    )
    assert simulator.control("GET", "/state")["settings"] == before


def test_order_shows_requests_notifications_and_deliveries(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(1)
    sdk.api_alipay_trade_query(out_trade_no="C1")
    order = simulator.order("C1")
    assert (order["status"], order["trade"]["total_amount"], len(order["sessions"])) == (
        "TRADE_SUCCESS",
        "19.90",
        1,
    )
    assert [request["method"] for request in order["requests"]] == [
        "alipay.trade.query",
        "alipay.trade.page.pay",
    ]
    delivery = order["notifications"][0]["deliveries"][0]
    assert (delivery["status"], delivery["answer"], delivery["is_accepted"], delivery["attempt"]) == (
        200,
        "success",
        True,
        1,
    )
    assert delivery["body"].encode() == shop.received[0].body


def test_buyers_acts_are_refused_as_at_the_cashier(simulator: Simulator) -> None:
    simulator.control("POST", "/trades/C1/pay", {}, status=404)
    simulator.open_order("C1")
    simulator.control("POST", "/trades/C1/close", {}, status=404)
    simulator.control("POST", "/trades/C1/pay", {})
    refused = simulator.control("POST", "/trades/C1/pay", {}, status=409)
    assert refused == {"error": "ACQ.TRADE_HAS_SUCCESS", "msg": "交易已被支付"}


def test_replay_sends_the_same_bytes_and_fresh_signs_again(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.freeze()
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(5)
    notify_id = simulator.order("C1")["notifications"][0]["notify_id"]
    simulator.control("POST", f"/notifications/{notify_id}/replay", {})
    simulator.control("POST", f"/notifications/{notify_id}/replay", {"fresh": True})
    first, same, fresh = (message.fields() for message in shop.wait_for(3))
    assert same == first
    assert (fresh["notify_id"], sdk.is_genuine(fresh)) == (first["notify_id"], True)
    assert fresh["notify_time"] > first["notify_time"]
    assert len(simulator.order("C1")["notifications"][0]["deliveries"]) == 3


def test_craft_signs_what_it_is_told(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    shop.answer = (200, b"fail")
    simulator.pay_order("C1")
    wish = {
        "out_trade_no": "C1",
        "url": shop.url,
        "fields": {"total_amount": "0.01", "gift": "1"},
        "remove": ["seller_id"],
    }
    crafted = simulator.control("POST", "/notifications/craft", wish)
    fields = shop.wait_for(1)[0].fields()
    assert sdk.is_genuine(fields)
    assert (fields["total_amount"], fields["gift"], "seller_id" in fields) == ("0.01", "1", False)
    assert (crafted["state"], crafted["deliveries"][0]["answer"]) == ("exhausted", "fail")
    simulator.advance(86_400)
    assert len(shop.received) == 1
    wrong = {
        "out_trade_no": "C1",
        "url": shop.url,
        "mutations": [{"kind": "wrong_key"}, {"kind": "change", "params": {"fields": {"app_id": "1"}}}],
    }
    simulator.control("POST", "/notifications/craft", wrong)
    forged = shop.wait_for(2)[1].fields()
    assert (sdk.is_genuine(forged), forged["app_id"]) == (False, "1")


@pytest.mark.parametrize(
    "wish",
    [{"out_trade_no": "C9"}, {"out_trade_no": "C1"}, {"out_trade_no": "C1", "url": "x"},
        {"out_trade_no": "C1", "colour": 1},
     {"out_trade_no": "C1", "url": "http://127.0.0.1:9/", "mutations": [{"kind": "hang"}]},
     {"out_trade_no": "C1", "url": "http://127.0.0.1:9/", "fields": []},
     {"out_trade_no": "C1", "url": "http://127.0.0.1:9/", "mutations": [1]},
     {"out_trade_no": "C1", "url": "http://127.0.0.1:9/",
         "mutations": [{"kind": "change", "params": {"fields": 1}}]}],
)  # fmt: skip
def test_invalid_crafts_are_refused(simulator: Simulator, wish: dict[str, Any]) -> None:
    simulator.pay_order("C1")
    simulator.control("POST", "/notifications/craft", wish, status=400)
    assert simulator.order("C1")["notifications"] == []


def test_wipe_keeps_merchant_and_settings(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"service_fee_per_mille": 7})
    simulator.pay_order("C1")
    simulator.fault("call_limited", times=None)
    simulator.advance(86_400)
    state = simulator.control("POST", "/wipe", {})
    assert (state["trades"], state["faults"], state["settings"]["service_fee_per_mille"]) == ({}, [], 7)
    assert sdk.api_alipay_trade_query(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert state["merchants"][0]["balance_amount"] == "1000000.00"


def test_clock_never_runs_backwards(simulator: Simulator) -> None:
    now = simulator.control("GET", "/clock")["now"]
    assert simulator.control("PUT", "/clock", {"now": now - 1000})["now"] >= now
    simulator.control("POST", "/clock/advance", {"seconds": -1}, status=400)
    assert simulator.control("PUT", "/clock", {"now": now + 1000})["now"] >= now + 1000


def test_panel_and_its_view(simulator: Simulator) -> None:
    simulator.open_order("C1")
    page = simulator.http.get("/").text
    assert "/static/panel.js" in page
    assert simulator.http.get("/static/panel.js").status_code == 200
    view = simulator.control("GET", "/overview")
    assert [(order["out_trade_no"], order["status"]) for order in view["orders"]] == [("C1", "NOT_EXIST")]
    assert view["state"]["open_requests"] == 1


def test_another_site_can_not_steer_a_visitors_browser(simulator: Simulator) -> None:
    response = simulator.http.post("/control/wipe", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


def test_control_token(own_simulator: Simulator) -> None:
    own_simulator.stop()
    own_simulator.arguments = ("--control-token", "s3cret")
    own_simulator.start()
    for path in ("/", "/control/state"):
        assert own_simulator.http.get(path).status_code == 403
        assert own_simulator.http.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 403
        assert own_simulator.http.get(path, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    with httpx.Client(base_url=own_simulator.url, trust_env=False, follow_redirects=True) as browser:
        assert browser.get("/?token=s3cret").status_code == 200
        assert browser.get("/control/state").status_code == 200
    assert own_simulator.http.get("/healthz").text == "ok"
    # Shops and buyers need no token.
    assert own_simulator.open_order("C1").startswith("/cashier/")


def test_fields_to_merge_into_are_those_of_a_notification(simulator: Simulator, shop: Shop) -> None:
    simulator.control("PATCH", "/settings", {"default_out_biz_no": "trade_no"})
    pay = {"notify_url": shop.url, "body": "x", "passback_params": "y"}
    simulator.pay_order("C1", **pay)
    received = shop.wait_for(1)[0].fields()
    assert set(received) - {"sign", "sign_type", "version"} <= MERGEABLE
    assert max(set(received) - {"sign", "sign_type"}) == "version"
