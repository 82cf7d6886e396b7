"""The life of a trade."""

from datetime import datetime, timedelta, timezone

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop

BEIJING = timezone(timedelta(hours=8))


def status(sdk: GatewayAliPay, out_trade_no: str = "C1") -> str:
    answer = sdk.api_alipay_trade_query(out_trade_no=out_trade_no)
    return str(answer.get("trade_status") or answer["sub_code"])


def wire(simulator: Simulator, seconds: float) -> str:
    at = simulator.control("GET", "/clock")["now"] + seconds
    return datetime.fromtimestamp(at, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def test_trade_exists_from_the_login_on(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.open_order("C1")
    assert status(sdk) == "ACQ.TRADE_NOT_EXIST"
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    simulator.http.post(f"{cashier}/login")
    assert status(sdk) == "WAIT_BUYER_PAY"
    simulator.http.post(f"{cashier}/pay")
    assert status(sdk) == "TRADE_SUCCESS"


def test_wap_trade_exists_only_once_paid(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.show_page(
        sdk.api_alipay_trade_wap_pay(subject="x", out_trade_no="C1", total_amount="1.00")
    )
    simulator.http.post(f"{cashier}/login")
    assert status(sdk) == "ACQ.TRADE_NOT_EXIST"
    simulator.http.post(f"{cashier}/pay")
    assert status(sdk) == "TRADE_SUCCESS"


def test_order_code_leads_to_the_cashier(simulator: Simulator, sdk: GatewayAliPay) -> None:
    code = sdk.api_alipay_trade_precreate(subject="x", out_trade_no="C1", total_amount="1.00")["qr_code"]
    assert status(sdk) == "ACQ.TRADE_NOT_EXIST"
    cashier = simulator.http.get(code).headers["location"]
    simulator.http.post(f"{cashier}/login")
    assert status(sdk) == "WAIT_BUYER_PAY"


def test_close_does_not_prevent_paying_an_unscanned_order(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.open_order("C1")
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    simulator.control("POST", "/trades/C1/pay", {})
    assert status(sdk) == "TRADE_SUCCESS"


def test_closed_order_number_is_burnt(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.open_order("C1")
    simulator.http.post(f"{cashier}/login")
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["code"] == "10000"
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert "ACQ.TRADE_HAS_CLOSE" in simulator.http.post(f"{cashier}/pay").text
    query = sdk.api_alipay_trade_page_pay(subject="微服务", out_trade_no="C1", total_amount="19.90")
    assert "ACQ.TRADE_HAS_CLOSE" in simulator.http.get(f"/gateway.do?{query}").content.decode("gbk")
    assert status(sdk) == "TRADE_CLOSED"


@pytest.mark.parametrize("change", [{"total_amount": "0.01"}, {"subject": "别的"}])
def test_first_scan_fixes_the_data(simulator: Simulator, sdk: GatewayAliPay, change: dict[str, str]) -> None:
    later = simulator.open_order("C1", **change)
    first = simulator.open_order("C1")
    simulator.http.post(f"{first}/login")
    assert "ACQ.CONTEXT_INCONSISTENT" in simulator.http.post(f"{later}/login").text
    assert sdk.api_alipay_trade_query(out_trade_no="C1")["total_amount"] == "19.90"


def test_paying_twice_is_refused(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.open_order("C1")
    simulator.http.post(f"{cashier}/login")
    simulator.http.post(f"{cashier}/pay")
    assert "ACQ.TRADE_HAS_SUCCESS" in simulator.http.post(f"{cashier}/pay").text
    assert simulator.control("GET", "/state")["merchants"][0]["balance_amount"] == "1000019.90"


def test_time_expire_wins_and_closes(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.freeze()
    cashier = simulator.open_order("C1", time_expire=wire(simulator, 600), timeout_express="1m")
    simulator.http.post(f"{cashier}/login")
    simulator.advance(590)
    assert status(sdk) == "WAIT_BUYER_PAY"
    simulator.advance(11, walk=False)
    assert status(sdk) == "TRADE_CLOSED"


def test_an_order_that_expired_unscanned_can_not_be_paid(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.open_order("C1", timeout_express="5m")
    simulator.advance(301)
    assert "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR" in simulator.http.post(f"{cashier}/login").text
    assert status(sdk) == "ACQ.TRADE_NOT_EXIST"


def test_page_timeout_counts_from_the_first_showing(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.open_order("C1", timeout_express="5m")
    simulator.advance(200)
    second = simulator.open_order("C1", timeout_express="5m")
    simulator.http.post(f"{second}/login")
    simulator.advance(101)
    assert status(sdk) == "TRADE_CLOSED"


def test_code_timeout_counts_from_the_scan(simulator: Simulator, sdk: GatewayAliPay) -> None:
    sdk.api_alipay_trade_precreate(subject="x", out_trade_no="C1", total_amount="1.00", timeout_express="5m")
    simulator.advance(200)
    simulator.control("POST", "/trades/C1/scan", {})
    simulator.advance(290)
    assert status(sdk) == "WAIT_BUYER_PAY"
    simulator.advance(11)
    assert status(sdk) == "TRADE_CLOSED"


def test_trade_finishes_when_the_refund_window_ends(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"refund_window_s": 90 * 86_400})
    simulator.pay_order("C1")
    simulator.advance(90 * 86_400 - 60)
    assert status(sdk) == "TRADE_SUCCESS"
    simulator.advance(61)
    assert status(sdk) == "TRADE_FINISHED"
    refused = sdk.api_alipay_trade_refund(refund_amount="1.00", out_trade_no="C1", out_request_no="R1")
    assert refused["sub_code"] == "ACQ.TRADE_HAS_FINISHED"


def test_trade_no_wins_over_out_trade_no(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    simulator.pay_order("C2")
    trade_no = simulator.order("C1")["trade"]["trade_no"]
    assert sdk.api_alipay_trade_query(out_trade_no="C2", trade_no=trade_no)["out_trade_no"] == "C1"


def test_cancel_closes_or_refunds(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.open_order("C1")
    simulator.control("POST", "/trades/C1/scan", {})
    assert sdk.api_alipay_trade_cancel(out_trade_no="C1")["action"] == "close"
    simulator.pay_order("C2")
    assert sdk.api_alipay_trade_cancel(out_trade_no="C2")["action"] == "refund"
    assert [status(sdk, "C1"), status(sdk, "C2")] == ["TRADE_CLOSED", "TRADE_CLOSED"]
    simulator.pay_order("C3")
    simulator.advance(86_401)
    assert sdk.api_alipay_trade_cancel(out_trade_no="C3")["sub_code"] == "ACQ.TRADE_CANCEL_TIME_OUT"
    assert status(sdk, "C3") == "TRADE_SUCCESS"


def test_abandoning_leaves_the_trade_open(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    cashier = simulator.open_order("C1", notify_url=shop.url)
    simulator.http.post(f"{cashier}/login")
    simulator.http.post(f"{cashier}/abandon")
    assert "已放弃付款" in simulator.http.get(cashier).text
    assert (status(sdk), shop.received) == ("WAIT_BUYER_PAY", [])


def test_cashier_wants_a_login_first(simulator: Simulator, sdk: GatewayAliPay) -> None:
    cashier = simulator.open_order("C1")
    assert "请先登录" in simulator.http.post(f"{cashier}/pay").text
    assert status(sdk) == "ACQ.TRADE_NOT_EXIST"


def test_cashier_escapes_what_the_shop_sends(simulator: Simulator) -> None:
    cashier = simulator.open_order("C1", subject="<script>alert(1)<.script>")
    assert "<script>alert" not in simulator.http.get(cashier).text


def test_payment_without_return_url_ends_on_the_result_page(simulator: Simulator) -> None:
    location = simulator.pay_order("C1", return_url=None).headers["location"]
    assert "付款成功" in simulator.http.get(location).text
