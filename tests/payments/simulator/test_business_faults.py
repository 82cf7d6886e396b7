"""Faults of the business kind."""

import csv
import io
import zipfile

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop


def test_pay_on_close(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    simulator.open_order("C1", notify_url=shop.url)
    simulator.control("POST", "/trades/C1/scan", {})
    simulator.fault("pay_on_close")
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert shop.wait_for(1)[0].fields()["trade_status"] == "TRADE_SUCCESS"


def test_pay_after_close(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    simulator.open_order("C1", notify_url=shop.url)
    simulator.fault("pay_after_close")
    assert sdk.api_alipay_trade_close(out_trade_no="C1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert shop.wait_for(1)[0].fields()["trade_status"] == "TRADE_SUCCESS"


def test_double_pay(simulator: Simulator, shop: Shop) -> None:
    simulator.open_order("C1", notify_url=shop.url)
    simulator.open_order("C2", notify_url=shop.url, subject="别的课程")
    simulator.fault("double_pay", times=1)
    simulator.pay_order("C3", notify_url=shop.url)
    assert {message.fields()["out_trade_no"] for message in shop.wait_for(2)} == {"C1", "C3"}


def hits(simulator: Simulator) -> list[int]:
    return [rule["hits"] for rule in simulator.control("GET", "/faults")["faults"]]


def test_double_pay_waits_for_another_open_request(simulator: Simulator, shop: Shop) -> None:
    """Without one there is nothing to pay twice, and the rule isn't spent."""
    simulator.open_order("C1", notify_url=shop.url, timeout_express="1m")
    simulator.advance(61)
    simulator.fault("double_pay", times=1)
    simulator.pay_order("C2", notify_url=shop.url)
    assert hits(simulator) == [0]
    simulator.open_order("C3", notify_url=shop.url)
    simulator.pay_order("C4", notify_url=shop.url)
    assert hits(simulator) == [1]
    assert {message.fields()["out_trade_no"] for message in shop.wait_for(3)} == {"C2", "C3", "C4"}


def test_pay_after_close_waits_for_a_request_that_can_be_paid(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    simulator.open_order("C1", notify_url=shop.url, timeout_express="1m")
    simulator.advance(61)
    simulator.fault("pay_after_close", times=1)
    for unpayable in ("C1", "C9"):
        assert sdk.api_alipay_trade_close(out_trade_no=unpayable)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert hits(simulator) == [0]
    simulator.open_order("C2", notify_url=shop.url)
    assert sdk.api_alipay_trade_close(out_trade_no="C2")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert hits(simulator) == [1]
    assert shop.wait_for(1)[0].fields()["out_trade_no"] == "C2"


@pytest.mark.parametrize(("kind", "later"), [("refund_pending", "REFUND_SUCCESS"), ("refund_failed", None)])
def test_refund_that_does_not_move_at_once(
    simulator: Simulator, sdk: GatewayAliPay, kind: str, later: str | None
) -> None:
    simulator.pay_order("C1")
    simulator.fault(kind)
    answer = sdk.api_alipay_trade_refund(refund_amount="5.00", out_trade_no="C1", out_request_no="R1")
    assert (answer["code"], answer["fund_change"], answer["refund_fee"]) == ("10000", "N", "0.00")
    assert sdk.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="C1") == {
        "code": "10000",
        "msg": "Success",
    }
    over = sdk.api_alipay_trade_refund(refund_amount="19.90", out_trade_no="C1", out_request_no="R2")
    assert over.get("sub_code") == ("ACQ.REASON_TRADE_REFUND_FEE_ERR" if later else None)
    simulator.advance(61)
    assert sdk.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="C1").get("refund_status") == later


def test_balance_empty(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.pay_order("C1")
    simulator.fault("balance_empty")
    first, second = (
        sdk.api_alipay_trade_refund(refund_amount="5.00", out_trade_no="C1", out_request_no="R1")
        for _ in range(2)
    )
    assert (first["sub_code"], second["fund_change"]) == ("ACQ.SELLER_BALANCE_NOT_ENOUGH", "Y")


def test_not_refundable(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.fault("not_refundable", out_trade_no="C1")
    simulator.pay_order("C1")
    assert sdk.api_alipay_trade_query(out_trade_no="C1")["trade_status"] == "TRADE_FINISHED"


def read_bill(simulator: Simulator, sdk: GatewayAliPay) -> list[tuple[str, str]]:
    """The order and the amount of each row of today's bill."""
    day = simulator.control("GET", "/clock")["now_text"][:10]
    answer = sdk.server_api(
        "alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "trade", "bill_date": day}
    )
    archive = zipfile.ZipFile(
        io.BytesIO(simulator.http.get(answer["bill_download_url"]).content), metadata_encoding="gbk"
    )
    text = archive.read(next(name for name in archive.namelist() if name.endswith("明细.csv"))).decode("gbk")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return [(row["商户订单号"].strip()[:7], row["订单金额（元）"]) for row in rows]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bill_missing", []),
        ("bill_amount", [("C1", "19.91")]),
        ("bill_extra", [("C1", "19.90"), ("STRANGE", "1.00")]),
    ],
)
def test_bill_faults(
    simulator: Simulator, sdk: GatewayAliPay, kind: str, expected: list[tuple[str, str]]
) -> None:
    simulator.control("PATCH", "/settings", {"bill_ready": "always"})
    simulator.pay_order("C1")
    simulator.fault(kind)
    assert read_bill(simulator, sdk) == expected


@pytest.mark.parametrize(
    ("difference", "paid", "refunded"),
    [
        ("0.01", "19.91", "-5.01"),
        ("-0.01", "19.89", "-4.99"),
        ("5", "24.90", "-10.00"),
        ("-19.90", "0.00", "0.00"),
        ("-20.00", "0.00", "0.00"),
        ("-39.80", "0.00", "0.00"),
    ],
)
def test_every_difference_shows_in_the_bill(
    simulator: Simulator, sdk: GatewayAliPay, difference: str, paid: str, refunded: str
) -> None:
    """Amounts become larger or smaller, at most down to nothing, in both directions."""
    simulator.control("PATCH", "/settings", {"bill_ready": "always"})
    simulator.pay_order("C1")
    sdk.api_alipay_trade_refund(refund_amount="5.00", out_trade_no="C1", out_request_no="R1")
    assert read_bill(simulator, sdk) == [("C1", "19.90"), ("C1", "-5.00")]
    simulator.fault("bill_amount", times=None, params={"difference": difference})
    assert read_bill(simulator, sdk) == [("C1", paid), ("C1", refunded)]
