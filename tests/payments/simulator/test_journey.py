"""A whole purchase with python-alipay-sdk, with signatures verified on both sides."""

import csv
import io
import zipfile

from tests.payments.simulator.process import APP_ID, SELLER_ID, Simulator, query_of
from tests.payments.simulator.shop import GatewayAliPay, Shop


def test_purchase_refund_close_and_bill(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    day = simulator.control("GET", "/clock")["now_text"][:10]
    response = simulator.pay_order(
        "C1", notify_url=shop.url, total_amount="100.11", return_url="http://shop.test/return?tab=1"
    )
    came_back = query_of(response.headers["location"])
    assert came_back.pop("tab") == "1"
    assert list(came_back) == [
        "charset", "out_trade_no", "method", "total_amount", "sign", "trade_no",
        "auth_app_id", "version", "app_id", "sign_type", "seller_id", "timestamp",
    ]  # fmt: skip
    assert sdk.is_genuine(came_back)
    assert (came_back["method"], came_back["total_amount"]) == ("alipay.trade.page.pay.return", "100.11")

    notified = shop.wait_for(1)[0].fields()
    assert sdk.is_genuine(notified)
    assert (notified["trade_status"], notified["app_id"], notified["seller_id"]) == (
        "TRADE_SUCCESS",
        APP_ID,
        SELLER_ID,
    )

    queried = sdk.api_alipay_trade_query(out_trade_no="C1")
    assert (queried["code"], queried["trade_status"], queried["total_amount"]) == (
        "10000",
        "TRADE_SUCCESS",
        "100.11",
    )
    assert queried["trade_no"] == notified["trade_no"] == came_back["trade_no"]

    refunded = sdk.api_alipay_trade_refund(refund_amount="0.11", out_trade_no="C1", out_request_no="C1R1")
    assert (refunded["fund_change"], refunded["refund_fee"]) == ("Y", "0.11")
    refund = sdk.api_alipay_trade_fastpay_refund_query("C1R1", out_trade_no="C1")
    assert (refund["refund_status"], refund["refund_amount"]) == ("REFUND_SUCCESS", "0.11")

    refused = sdk.api_alipay_trade_close(out_trade_no="C1")
    assert (refused["code"], refused["sub_code"]) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    assert simulator.order("C1")["status"] == "TRADE_SUCCESS"

    simulator.advance(2 * 86_400)
    answer = sdk.server_api(
        "alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "trade", "bill_date": day}
    )
    archive = zipfile.ZipFile(
        io.BytesIO(simulator.http.get(answer["bill_download_url"]).content), metadata_encoding="gbk"
    )
    detail = next(name for name in archive.namelist() if name.endswith("_业务明细.csv"))
    lines = [line for line in archive.read(detail).decode("gbk").splitlines() if not line.startswith("#")]
    rows = [{name: value.strip("\t") for name, value in row.items()} for row in csv.DictReader(lines)]
    assert [
        (row["商户订单号"], row["业务类型"], row["订单金额（元）"], row["退款批次号/请求号"]) for row in rows
    ] == [
        ("C1", "交易", "100.11", ""),
        ("C1", "退款", "-0.11", "C1R1"),
    ]


def test_the_gateway_refuses_a_tampered_request(simulator: Simulator, sdk: GatewayAliPay) -> None:
    query = sdk.api_alipay_trade_page_pay(subject="x", out_trade_no="C1", total_amount="100.00")
    response = simulator.http.get(f"/gateway.do?{query.replace('100.00', '000.01')}")
    assert response.status_code == 200
    assert "错误代码 invalid-signature" in response.content.decode("gbk")
    simulator.control("GET", "/trades/C1", status=404)
