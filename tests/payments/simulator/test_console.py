"""Refunds in the merchant console: money moves without the shop, and the shop is notified."""

from typing import Any

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop


def refund(simulator: Simulator, *, status: int = 200, **wish: Any) -> Any:
    return simulator.control("POST", "/trades/C1/refund", wish, status=status)


def query_refund(sdk: GatewayAliPay, number: str) -> Any:
    asked = {"out_trade_no": "C1", "out_request_no": number, "query_options": ["gmt_refund_pay"]}
    return sdk.server_api("alipay.trade.fastpay.refund.query", asked)


def test_partial_refund_is_notified_and_can_be_queried_by_its_number(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    order = refund(simulator, amount="5.00", out_request_no="CONSOLE77")
    assert (order["status"], order["trade"]["refunded_amount"]) == ("TRADE_SUCCESS", "5.00")
    fields = shop.wait_for(2)[1].fields()
    assert sdk.is_genuine(fields)
    assert (fields["trade_status"], fields["refund_fee"], fields["out_biz_no"]) == (
        "TRADE_SUCCESS",
        "5.00",
        "CONSOLE77",
    )
    answer = query_refund(sdk, "CONSOLE77")
    assert (answer["refund_status"], answer["refund_amount"], len(answer["gmt_refund_pay"])) == (
        "REFUND_SUCCESS",
        "5.00",
        19,
    )


def test_refund_without_an_amount_is_of_all_that_is_left(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.control("PATCH", "/settings", {"notify_triggers": {"page": ["TRADE_CLOSED"]}})
    simulator.pay_order("C1", notify_url=shop.url)
    sdk.api_alipay_trade_refund(refund_amount="5.00", out_trade_no="C1", out_request_no="R1")
    order = refund(simulator)
    assert (order["status"], order["trade"]["refunded_amount"]) == ("TRADE_CLOSED", "19.90")
    fields = shop.wait_for(1)[0].fields()
    assert (fields["trade_status"], fields["refund_fee"]) == ("TRADE_CLOSED", "19.90")
    assert fields["out_biz_no"] == order["refunds"][1]["out_request_no"] != "R1"
    assert sdk.api_alipay_trade_query(out_trade_no="C1")["trade_status"] == "TRADE_CLOSED"


def test_console_makes_a_number_of_its_own_each_time(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    refund(simulator, amount="1.00")
    numbers = [row["out_request_no"] for row in refund(simulator, amount="1.00")["refunds"]]
    assert len(set(numbers)) == 2
    assert all(number.isdigit() and len(number) == 28 for number in numbers)
    assert query_refund(sdk, numbers[0])["refund_amount"] == "1.00"


def test_same_number_moves_nothing_twice(simulator: Simulator) -> None:
    simulator.pay_order("C1")
    refund(simulator, amount="5.00", out_request_no="X")
    assert refund(simulator, amount="5.00", out_request_no="X")["trade"]["refunded_amount"] == "5.00"
    assert (
        refund(simulator, amount="6.00", out_request_no="X", status=409)["error"]
        == "ACQ.DISCORDANT_REPEAT_REQUEST"
    )


def test_console_and_shop_share_what_was_paid(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    refund(simulator, amount="19.00")
    answer = sdk.api_alipay_trade_refund(refund_amount="0.91", out_trade_no="C1", out_request_no="R1")
    assert answer["sub_code"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert refund(simulator, amount="0.91", status=409)["error"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    refund(simulator, amount="0.90")
    assert refund(simulator, amount="0.01", status=409)["error"] == "ACQ.TRADE_HAS_CLOSE"


def test_trade_that_is_not_paid_has_nothing_to_give_back(simulator: Simulator) -> None:
    assert "error" in refund(simulator, status=404)
    simulator.open_order("C1")
    assert "error" in refund(simulator, status=404)
    simulator.control("POST", "/trades/C1/scan", {})
    assert refund(simulator, status=409)["error"] == "ACQ.TRADE_STATUS_ERROR"


@pytest.mark.parametrize(
    "wish",
    [{"amount": "0.00"}, {"amount": "-1.00"}, {"amount": "1.001"}, {"amount": "x"}, {"amount": None},
        {"out_request_no": "x" * 65},
     {"out_request_no": 7}, {"reason": []}, {"colour": "red"}],
)  # fmt: skip
def test_invalid_refunds_are_refused(simulator: Simulator, wish: dict[str, Any]) -> None:
    simulator.pay_order("C1")
    refund(simulator, status=400, **wish)
    assert simulator.order("C1")["refunds"] == []


def test_refund_is_marked_as_made_in_the_console(simulator: Simulator) -> None:
    simulator.pay_order("C1")
    refund(simulator, amount="5.00", out_request_no="CONSOLE77")
    [row] = simulator.order("C1")["refunds"]
    assert (row["out_request_no"], row["status"], row["reason"]) == ("CONSOLE77", "succeeded", "商家后台退款")


# --- Paying what is paid ------------------------------------------------------------------------------------


def test_new_code_for_a_paid_trade_is_refused(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    answer = sdk.api_alipay_trade_precreate(subject="微服务", out_trade_no="C1", total_amount="19.90")
    assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.TRADE_HAS_SUCCESS")


@pytest.mark.parametrize("way", ["page", "wap"])
def test_cashier_of_a_paid_trade_shows_a_page_for_buyers(
    simulator: Simulator, sdk: GatewayAliPay, way: str
) -> None:
    simulator.pay_order("C1")
    query = getattr(sdk, f"api_alipay_trade_{way}_pay")(
        subject="微服务", out_trade_no="C1", total_amount="19.90", return_url="http://shop.test/"
    )
    response = simulator.http.get(f"/gateway.do?{query}")
    page = response.content.decode("gbk")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html;charset=GBK")
    assert "ACQ.TRADE_HAS_SUCCESS" in page
    assert "交易已被支付" in page
    assert "重新发起请求" not in page


def test_second_tab_of_a_paid_trade_shows_the_payment(simulator: Simulator) -> None:
    second = simulator.open_order("C1")
    simulator.pay_order("C1")
    page = simulator.http.get(second).text
    assert ("付款成功" in page, "确认付款" in page) == (True, False)


def test_tab_of_a_refunded_trade_shows_that_it_is_closed(simulator: Simulator) -> None:
    second = simulator.open_order("C1")
    simulator.pay_order("C1")
    refund(simulator)
    page = simulator.http.get(second).text
    assert ("付款成功" in page, "订单已关闭" in page) == (False, True)
