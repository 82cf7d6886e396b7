"""The business bill."""

import csv
import io
import time
import zipfile

import pytest

from tests.payments.simulator.process import SELLER_ID, Simulator, query_of
from tests.payments.simulator.shop import GatewayAliPay

BILL = "alipay.data.dataservice.bill.downloadurl.query"


def today(simulator: Simulator) -> str:
    return str(simulator.control("GET", "/clock")["now_text"][:10])


def ask(sdk: GatewayAliPay, day: str, kind: str = "trade") -> dict[str, str]:
    answer: dict[str, str] = sdk.server_api(BILL, {"bill_type": kind, "bill_date": day})
    return answer


def test_archive_holds_two_gbk_tables_with_gbk_names(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"bill_ready": "always"})
    day = today(simulator)
    simulator.pay_order("C1", total_amount="100.00", subject="一，二")
    sdk.api_alipay_trade_refund(refund_amount="30.00", out_trade_no="C1", out_request_no="R1")
    url = ask(sdk, day)["bill_download_url"]
    account, label = f"{SELLER_ID}0156", day.replace("-", "")
    query = query_of(url)
    assert (query["bizType"], query["userId"], query["fileType"], query["bizDates"]) == (
        "trade",
        account,
        "csv.zip",
        label,
    )
    archive = zipfile.ZipFile(io.BytesIO(simulator.http.get(url).content), metadata_encoding="gbk")
    assert archive.testzip() is None
    assert archive.namelist() == [f"{account}_{label}_业务明细.csv", f"{account}_{label}_业务明细(汇总).csv"]
    assert all(info.flag_bits & 0x800 == 0 for info in archive.infolist())
    detail, summary = (archive.read(name).decode("gbk").splitlines() for name in archive.namelist())
    assert detail[:2] == ["#支付宝业务明细查询", f"#账号：[{account}]"]
    assert detail[-3:-1] == [
        "#交易合计：1笔，商家实收共100.00元，商家优惠共0.00元",
        "#退款合计：1笔，商家实收退款共-30.00元，商家优惠退款共0.00元",
    ]
    header, paid, refunded = csv.reader(line for line in detail if not line.startswith("#"))
    assert (len(header), len(paid), len(refunded)) == (25, 25, 25)
    assert (paid[1], paid[2], paid[3], paid[11], paid[12], paid[21], paid[22]) == (
        "C1\t",
        "交易\t",
        "一，二",
        "100.00",
        "100.00",
        "\t",
        "-0.60",
    )
    assert (refunded[1], refunded[2], refunded[11], refunded[21], refunded[22]) == (
        "C1\t",
        "退款\t",
        "-30.00",
        "R1\t",
        "0.00",
    )
    total = next(csv.reader(line for line in summary if line.startswith("合计")))
    assert total[2:6] == ["1", "1", "70.00", "70.00"]


def test_bill_is_ready_at_nine_the_next_morning(simulator: Simulator, sdk: GatewayAliPay) -> None:
    day = today(simulator)
    simulator.pay_order("C1")
    assert ask(sdk, day)["sub_code"] == "BILL_NOT_EXIST"
    now = simulator.control("GET", "/clock")
    hours, minutes, seconds = (int(part) for part in now["now_text"][11:].split(":"))
    until_nine = 33 * 3600 - (hours * 3600 + minutes * 60 + seconds)
    simulator.advance(until_nine - 60)
    assert ask(sdk, day)["sub_code"] == "BILL_NOT_EXIST"
    simulator.advance(61)
    assert ask(sdk, day)["code"] == "10000"


@pytest.mark.parametrize(
    ("day", "kind", "sub_code"),
    [
        ("2019-12-31", "trade", "BILL_DATE_BEFORE_REGISTRATION"),
        ("2020-01-01", "trade", "NO_BILL_DATA"),
        ("2020-01", "trade", "NO_BILL_DATA"),
        ("2999-01-01", "trade", "INVAILID_ARGUMENTS"),
        ("2020-1-1", "trade", "INVAILID_ARGUMENTS"),
        ("yesterday", "trade", "INVAILID_ARGUMENTS"),
        ("2020-01-01", "signcustomer", "TYPE_NOT_SUPPORTED"),
    ],
)
def test_refusals(sdk: GatewayAliPay, day: str, kind: str, sub_code: str) -> None:
    answer = ask(sdk, day, kind)
    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)


def test_empty_bill_is_a_setting(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"empty_bill": "file"})
    archive = zipfile.ZipFile(
        io.BytesIO(simulator.http.get(ask(sdk, "2020-01-01")["bill_download_url"]).content)
    )
    assert "#交易合计：0笔" in archive.read(archive.namelist()[0]).decode("gbk")


def test_link_expires(simulator: Simulator, sdk: GatewayAliPay) -> None:
    simulator.control("PATCH", "/settings", {"empty_bill": "file", "bill_link_real_s": 0.1})
    url = ask(sdk, "2020-01-01")["bill_download_url"]
    time.sleep(0.15)
    assert simulator.http.get(url).status_code == 403
    assert simulator.http.get(url.replace("token=", "token=x")).status_code == 403
