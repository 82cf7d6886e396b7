"""Limits of business fields."""

from typing import Any

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay

PAY = {"out_trade_no": "C1", "subject": "课程", "total_amount": "1.00", "product_code": "QR_CODE_OFFLINE"}


def precreate(sdk: GatewayAliPay, biz: dict[str, Any], **params: str) -> str:
    answer = sdk.server_api(
        "alipay.trade.precreate", {key: value for key, value in biz.items() if value is not None}, **params
    )
    return str(answer.get("sub_code", answer["code"]))


@pytest.mark.parametrize(
    "change",
    [
        {"out_trade_no": "C" * 64},
        {"out_trade_no": "a_B9"},
        {"total_amount": "0.01"},
        {"total_amount": 1},
        {"total_amount": 0.5},
        {"total_amount": "100000000.00"},
        {"subject": "课" * 256},
        {"body": "b" * 128},
        {"passback_params": "p" * 512},
        {"timeout_express": "1m"},
        {"timeout_express": "15d"},
        {"timeout_express": "1c"},
        {"product_code": None},
    ],
)
def test_just_inside_the_limits(sdk: GatewayAliPay, change: dict[str, Any]) -> None:
    assert precreate(sdk, {**PAY, **change}) == "10000"


@pytest.mark.parametrize(
    ("change", "sub_code"),
    [
        ({"out_trade_no": None}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": "C" * 65}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": "C-1"}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": "订单"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": None}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "0.00"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "-1.00"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "1.001"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": 0.1 + 0.2}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "1e2"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "１"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "100000000.01"}, "ACQ.TOTAL_FEE_EXCEED"),
        ({"subject": None}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "课" * 257}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "a/b"}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "a=b"}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "a&b"}, "ACQ.INVALID_PARAMETER"),
        ({"body": "b" * 129}, "ACQ.INVALID_PARAMETER"),
        ({"passback_params": "p" * 513}, "ACQ.INVALID_PARAMETER"),
        ({"product_code": "FAST_INSTANT_TRADE_PAY"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "0m"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "16d"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "1.5h"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "90"}, "ACQ.INVALID_PARAMETER"),
        ({"time_expire": "2026-1-1 00:00:00"}, "ACQ.INVALID_PARAMETER"),
        ({"time_expire": "2020-01-01 00:00:00"}, "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"),
    ],
)
def test_just_outside_the_limits(
    simulator: Simulator, sdk: GatewayAliPay, change: dict[str, Any], sub_code: str
) -> None:
    assert precreate(sdk, {**PAY, **change}) == sub_code
    assert simulator.control("GET", "/state")["open_requests"] == 0


@pytest.mark.parametrize(
    ("params", "sub_code"),
    [
        ({"notify_url": "http://shop.test/" + "n" * 239}, "10000"),
        ({"notify_url": "http://shop.test/" + "n" * 240}, "ACQ.INVALID_PARAMETER"),
        ({"notify_url": "ftp://shop.test/"}, "ACQ.INVALID_PARAMETER"),
        ({"return_url": "http://shop.test/" + "r" * 240}, "ACQ.INVALID_PARAMETER"),
        ({"return_url": "http://shop.test/?method=x"}, "isv.suspected-attack"),
    ],
)
def test_callback_urls(sdk: GatewayAliPay, params: dict[str, str], sub_code: str) -> None:
    assert precreate(sdk, PAY, **params) == sub_code


def test_body_limit_is_a_setting(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"max_body_length": 400})
    assert precreate(sdk, {**PAY, "body": "b" * 400}) == "10000"


@pytest.mark.parametrize("product_code", ["QUICK_WAP_WAY", "QUICK_WAP_PAY"])
def test_wap_takes_both_product_codes(simulator: Simulator, sdk: GatewayAliPay, product_code: str) -> None:
    query = sdk.api_alipay_trade_wap_pay(
        subject="x", out_trade_no="C1", total_amount="1.00", product_code=product_code
    )
    assert simulator.show_page(query).startswith("/cashier/")


@pytest.mark.parametrize(
    ("amount", "sub_code"),
    [
        ("0", "ACQ.INVALID_PARAMETER"),
        ("1.005", "ACQ.INVALID_PARAMETER"),
        ("19.91", "ACQ.REASON_TRADE_REFUND_FEE_ERR"),
    ],
)
def test_refund_amounts(simulator: Simulator, sdk: GatewayAliPay, amount: str, sub_code: str) -> None:
    simulator.pay_order("C1")
    answer = sdk.api_alipay_trade_refund(refund_amount=amount, out_trade_no="C1", out_request_no="R1")
    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)
    assert simulator.order("C1")["refunds"] == []
