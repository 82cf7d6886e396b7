"""Each gateway fault, seen through the SDK."""

import http.client
import json
import time
import urllib.error

import httpx
import pytest
from alipay.exceptions import AliPayException, AliPayValidationError

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay


@pytest.fixture
def paid(simulator: Simulator) -> Simulator:
    simulator.pay_order("C1")
    return simulator


def query(sdk: GatewayAliPay) -> dict[str, str]:
    answer: dict[str, str] = sdk.api_alipay_trade_query(out_trade_no="C1")
    return answer


def refund(sdk: GatewayAliPay) -> dict[str, str]:
    answer: dict[str, str] = sdk.api_alipay_trade_refund(
        refund_amount="5.00", out_trade_no="C1", out_request_no="R1"
    )
    return answer


def count_refunds(simulator: Simulator) -> int:
    return len(simulator.order("C1")["refunds"])


@pytest.mark.parametrize("status", [500, 502])
def test_http_error(paid: Simulator, sdk: GatewayAliPay, status: int) -> None:
    paid.fault("http_error", params={"status": status})
    with pytest.raises(urllib.error.HTTPError) as raised:
        refund(sdk)
    raised.value.close()
    assert (raised.value.code, count_refunds(paid)) == (status, 0)


def test_hang(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("hang", params={"seconds": 0.4, "after_commit": True})
    started = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        refund(sdk)
    assert time.monotonic() - started >= 0.4
    assert count_refunds(paid) == 1


def test_drip(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("drip", params={"seconds": 0.6})
    started = time.monotonic()
    assert query(sdk)["trade_status"] == "TRADE_SUCCESS"
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(("after_commit", "refunds"), [(True, 1), (False, 0)])
def test_disconnect(paid: Simulator, sdk: GatewayAliPay, after_commit: bool, refunds: int) -> None:
    paid.fault("disconnect", params={"after_commit": after_commit})
    with pytest.raises(http.client.RemoteDisconnected):
        refund(sdk)
    assert count_refunds(paid) == refunds


def test_truncate(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("truncate")
    with pytest.raises(http.client.IncompleteRead):
        refund(sdk)
    assert count_refunds(paid) == 1


@pytest.mark.parametrize("kind", ["garbage", "empty"])
def test_unreadable(paid: Simulator, sdk: GatewayAliPay, kind: str) -> None:
    paid.fault(kind)
    with pytest.raises(json.JSONDecodeError):
        query(sdk)


@pytest.mark.parametrize(("after_commit", "refunds"), [(False, 0), (True, 1)])
def test_unavailable(paid: Simulator, sdk: GatewayAliPay, after_commit: bool, refunds: int) -> None:
    paid.fault("unavailable", params={"after_commit": after_commit})
    assert (refund(sdk)["code"], count_refunds(paid)) == ("20000", refunds)


def test_system_error_after_the_effect(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("system_error")
    assert (refund(sdk)["sub_code"], count_refunds(paid)) == ("ACQ.SYSTEM_ERROR", 1)
    # The repeat that such an answer requires finds the work done.
    assert (refund(sdk)["fund_change"], count_refunds(paid)) == ("N", 1)


def test_call_limited(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("call_limited")
    assert (refund(sdk)["code"], count_refunds(paid)) == ("40005", 0)


def test_bad_sign(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("bad_sign")
    with pytest.raises(AliPayValidationError):
        query(sdk)


@pytest.mark.parametrize(("kind", "code"), [("unsigned", "10000"), ("error_response", "40002")])
def test_answers_without_a_usable_signature(
    paid: Simulator, sdk: GatewayAliPay, kind: str, code: str
) -> None:
    paid.fault(kind)
    with pytest.raises(AliPayException) as raised:
        query(sdk)
    assert raised.value._AliPayException__code == code


def test_other_trade_is_validly_signed(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.pay_order("C2")
    paid.fault("other_trade")
    assert query(sdk)["out_trade_no"] == "C2"


def test_lone_brace(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("lone_brace")
    # The SDK cuts the signed text by counting braces.
    with pytest.raises(AliPayValidationError):
        query(sdk)
    assert '"store_name":"旗舰店 }"' in paid.control("GET", "/requests")["requests"][0]["answer"]


def test_page_pay_has_faults_too(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.fault("http_error", method="alipay.trade.page.pay")
    response = simulator.http.get(
        f"/gateway.do?{sdk.api_alipay_trade_page_pay(subject='x', out_trade_no='C1', total_amount='1.00')}"
    )
    assert response.status_code == 502
    simulator.control("GET", "/trades/C1", status=404)


def test_faults_are_spent_narrowed_and_skipped(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.pay_order("C2")
    paid.fault("call_limited", out_trade_no="C1", method="alipay.trade.query", skip=1, times=2)
    assert sdk.api_alipay_trade_query(out_trade_no="C2")["code"] == "10000"
    assert refund(sdk)["code"] == "10000"
    assert [query(sdk)["code"] for _ in range(4)] == ["10000", "40005", "40005", "10000"]
    assert paid.control("GET", "/requests", None)["requests"][1]["fault"] == "call_limited"


def test_a_probability_hits_the_same_events_again(paid: Simulator, sdk: GatewayAliPay) -> None:
    def run(seed: str) -> list[str]:
        paid.control("DELETE", "/faults")
        paid.fault("call_limited", probability=0.5, times=None, seed=seed)
        return [query(sdk)["code"] for _ in range(24)]

    first = run("7")
    assert run("7") == first
    assert run("8") != first
    assert 4 <= first.count("40005") <= 20


def test_a_removed_fault_is_gone(paid: Simulator, sdk: GatewayAliPay) -> None:
    number = paid.fault("call_limited", times=None)
    assert query(sdk)["code"] == "40005"
    paid.control("DELETE", f"/faults/{number}")
    assert query(sdk)["code"] == "10000"


def test_a_hanging_request_does_not_hold_up_others(paid: Simulator, sdk: GatewayAliPay) -> None:
    paid.fault("hang", out_trade_no="C9", params={"seconds": 5})
    signed = sdk.sign_data(sdk.build_body("alipay.trade.query", {"out_trade_no": "C9"}))
    held = httpx.Client(trust_env=False, timeout=0.2)
    with pytest.raises(httpx.ReadTimeout):
        held.get(f"{paid.url}/gateway.do?{signed}")
    held.close()
    started = time.monotonic()
    query(sdk)
    assert time.monotonic() - started < 1
