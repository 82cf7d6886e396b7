"""Refunds and refund queries."""

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop


def refund(sdk: GatewayAliPay, amount: str, number: str | None) -> dict[str, str]:
    extra = {"out_request_no": number} if number else {}
    answer: dict[str, str] = sdk.api_alipay_trade_refund(refund_amount=amount, out_trade_no="C1", **extra)
    return answer


def test_refund_fee_adds_up_and_the_last_one_closes(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    first, second = refund(sdk, "5.00", "R1"), refund(sdk, "14.90", "R2")
    assert (first["fund_change"], first["refund_fee"]) == ("Y", "5.00")
    assert (second["fund_change"], second["refund_fee"]) == ("Y", "19.90")
    assert sdk.api_alipay_trade_query(out_trade_no="C1")["trade_status"] == "TRADE_CLOSED"
    assert refund(sdk, "0.01", "R3")["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert simulator.control("GET", "/state")["merchants"][0]["balance_amount"] == "1000000.00"


def test_repeating_a_refund_moves_nothing(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    refund(sdk, "5.00", "R1")
    again = refund(sdk, "5.00", "R1")
    assert (again["code"], again["fund_change"], again["refund_fee"]) == ("10000", "N", "5.00")
    assert refund(sdk, "6.00", "R1")["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert len(simulator.order("C1")["refunds"]) == 1


def test_repeating_a_full_refund_still_answers(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    refund(sdk, "19.90", "R1")
    assert (refund(sdk, "19.90", "R1")["code"], refund(sdk, "19.90", "R1")["fund_change"]) == ("10000", "N")


def test_only_a_full_refund_needs_no_number(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    assert refund(sdk, "5.00", None)["sub_code"] == "ACQ.INVALID_PARAMETER"
    assert refund(sdk, "19.90", None)["fund_change"] == "Y"
    assert (
        sdk.api_alipay_trade_fastpay_refund_query("C1", out_trade_no="C1")["refund_status"]
        == "REFUND_SUCCESS"
    )


def test_refund_of_an_unpaid_trade_is_refused(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.open_order("C1")
    assert refund(sdk, "1.00", "R1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    simulator.control("POST", "/trades/C1/scan", {})
    assert refund(sdk, "1.00", "R1")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"


def test_unknown_refund_is_an_empty_success(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    assert sdk.api_alipay_trade_fastpay_refund_query("R9", out_trade_no="C1") == {
        "code": "10000",
        "msg": "Success",
    }
    assert (
        sdk.api_alipay_trade_fastpay_refund_query("R9", out_trade_no="C9")["sub_code"]
        == "ACQ.TRADE_NOT_EXIST"
    )


def test_refund_time_comes_when_asked_for(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    refund(sdk, "5.00", "R1")
    asked = {"out_trade_no": "C1", "out_request_no": "R1", "query_options": ["gmt_refund_pay"]}
    assert len(sdk.server_api("alipay.trade.fastpay.refund.query", asked)["gmt_refund_pay"]) == 19
    assert "gmt_refund_pay" not in sdk.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="C1")


def test_interval_between_refunds_is_a_setting(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"refund_interval_s": 3})
    simulator.pay_order("C1")
    assert refund(sdk, "1.00", "R1")["fund_change"] == "Y"
    assert refund(sdk, "1.00", "R2")["sub_code"] == "ACQ.SYSTEM_ERROR"
    simulator.advance(4)
    assert refund(sdk, "1.00", "R2")["refund_fee"] == "2.00"


def test_partial_refund_notifies_success_again(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    paid = shop.wait_for(1)[0].fields()
    refund(sdk, "5.00", "R1")
    refunded = shop.wait_for(2)[1].fields()
    assert sdk.is_genuine(refunded)
    assert (refunded["trade_status"], refunded["refund_fee"], refunded["out_biz_no"]) == (
        "TRADE_SUCCESS",
        "5.00",
        "R1",
    )
    assert len(refunded["gmt_refund"]) == len("2026-01-01 12:00:00.000")
    assert refunded["notify_id"] != paid["notify_id"]
    assert "refund_fee" not in paid


def test_full_refund_of_a_page_payment_is_silent_unless_asked_for(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    refund(sdk, "19.90", "R1")
    assert [item["trade_status"] for item in simulator.order("C1")["notifications"]] == ["TRADE_SUCCESS"]
    simulator.control("PATCH", "/settings", {"notify_triggers": {"page": ["TRADE_CLOSED"]}})
    simulator.pay_order("C2", notify_url=shop.url)
    sdk.api_alipay_trade_refund(refund_amount="19.90", out_trade_no="C2", out_request_no="R2")
    closed = shop.wait_for(2)[1].fields()
    assert (closed["trade_status"], closed["refund_fee"]) == ("TRADE_CLOSED", "19.90")
    assert closed["gmt_close"] == closed["gmt_refund"][:19]
