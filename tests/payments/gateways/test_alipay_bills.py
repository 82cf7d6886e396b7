"""Alipay's bills as downloaded: what is read from them, and what isn't a bill."""

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from payments.gateways.alipay import bills
from payments.gateways.measuring import CallOutcome, outcome_of
from payments.gateways.protocol import (
    BillRow,
    BillUnreadable,
    GatewayRejected,
    GatewayUnreachable,
    Refusal,
)
from payments.states import BillRowKind
from tests.payments.alipay_side import gateway_server, make_gateway, signed_answer

COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
NAME = "20880000000000010156_20260302_业务明细"
DAY = date(2026, 3, 2)
METHOD = "alipay.data.dataservice.bill.downloadurl.query"


def cells(
    kind: str = "交易",
    amount: str = "20.00",
    request_no: str = "",
    *,
    number: str = "ORDER1",
    subject: str = "课程",
    fee: str = "-0.12",
    payer: str = "**博(156******89)",
) -> str:
    """A row in the download centre's format."""
    times = "2026-03-02 12:00:00,2026-03-02 12:00:05"
    head = f"2026030222001\t,{number}\t,{kind}\t,{subject},{times},\t,\t,\t,\t,"
    money = f"{payer}\t,{amount},{amount},0.00,0.00,0.00,0.00,0.00,\t,0.00,0.00,"
    return f"{head}{money}{request_no}\t,{fee},0.00,\t"


def table(
    rows: Sequence[str],
    *,
    columns: str = COLUMNS,
    end: str = "#------业务明细列表结束------",
    trailer: Sequence[str] = (),
) -> str:
    lines = [
        "#支付宝业务明细查询",
        "#账号：[20880000000000010156]",
        "#------业务明细列表------",
        columns,
        *rows,
        end,
        *trailer,
    ]
    return "\r\n".join(lines) + "\r\n"


def archive(*tables: str | bytes, names: Sequence[str] = (f"{NAME}.csv", f"{NAME}(汇总).csv")) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bill:
        for name, text in zip(names, tables, strict=False):
            bill.writestr(name, text.encode("gbk") if isinstance(text, str) else text)
    return buffer.getvalue()


def read(content: bytes) -> list[BillRow]:
    return list(make_gateway().read_bill(content))


def test_payments_and_refunds_are_read_by_their_columns() -> None:
    refund = cells("退款", "-5.00", "R1", fee="0.00")
    trailer = ["#交易合计：1笔，商家实收共20.00元", "#退款合计：1笔"]
    found = read(archive(table([cells(), refund], trailer=trailer)))
    assert found == [
        BillRow(BillRowKind.TRADE, "2026030222001", "ORDER1", "", Decimal("20.00"), Decimal("-0.12")),
        BillRow(BillRowKind.REFUND, "2026030222001", "ORDER1", "R1", Decimal("5.00"), Decimal("0.00")),
    ]


@pytest.mark.parametrize("amount", ["5.00", "-5.00", "5", "-5.0"])
def test_kind_of_a_row_gives_the_direction_of_its_money(amount: str) -> None:
    [row] = read(archive(table([cells("退款", amount, "R1")])))
    assert (row.kind, row.amount) == (BillRowKind.REFUND, Decimal("5.00"))
    assert row.amount.as_tuple().exponent == -2


def test_negative_payment_stays_negative() -> None:
    """So that the books differ from it."""
    [row] = read(archive(table([cells("交易", "-20.00")])))
    assert (row.kind, row.amount) == (BillRowKind.TRADE, Decimal("-20.00"))


def test_columns_may_come_in_any_order_and_number() -> None:
    columns = "服务费(元),支付宝交易号,商户订单号,业务类型,商品名称,退款批次号/请求号,新的一列,订单金额(元)"
    [row] = read(archive(table(["-0.01,T1,O1,交易,课程,,x,3.00"], columns=columns)))
    assert row == BillRow(BillRowKind.TRADE, "T1", "O1", "", Decimal("3.00"), Decimal("-0.01"))


HOSTILE = {
    "comma in the subject": {"subject": "课程, 第二期, 上"},
    "commas and quotes": {"subject": '"课程, ""第二期"""'},
    "quote that nobody closes": {"subject": '"课程'},
    "quote in the middle": {"subject": '课程"二'},
    "formula": {"subject": '=HYPERLINK("http://x")'},
    "NUL": {"subject": "课\x00程"},
    "no character": {"subject": "课程\ufffd".encode("gbk", "replace").decode("gbk")},
    "a comment inside": {"subject": "#业务明细列表结束"},
    "very long": {"subject": "课" * 5000},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_spoils_no_number(name: str) -> None:
    other = cells(number="ORDER2", amount="7.00")
    found = read(archive(table([cells(**HOSTILE[name]), other])))
    assert [(row.out_trade_no, row.amount) for row in found] == [
        ("ORDER1", Decimal("20.00")), ("ORDER2", Decimal("7.00")),
    ]  # fmt: skip


def test_invalid_gbk_spoils_no_number() -> None:
    text = table([cells(subject="COURSE")]).encode("gbk").replace(b"COURSE", b"\xff\xff\x81")
    assert [row.out_trade_no for row in read(archive(text))] == ["ORDER1"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [("订单1", "??1"), ("x" * 80, "x" * 64), ("A\x00B", "A?B"), ("", ""), ("=1+1", "=1+1"), ("a b", "a?b")],
)
def test_invalid_number_is_made_displayable(number: str, shown: str) -> None:
    [row] = read(archive(table([cells(number=number)])))
    assert row.out_trade_no == shown


@pytest.mark.parametrize("number", ["退款1", "x" * 65, "a b", "\x07"])
def test_invalid_request_number_is_left_out(number: str) -> None:
    [row] = read(archive(table([cells("退款", "-1.00", number)])))
    assert (row.kind, row.out_request_no) == (BillRowKind.REFUND, "")


def test_unknown_kind_is_reported() -> None:
    [row] = read(archive(table([cells("转账")])))
    assert row.kind is BillRowKind.OTHER


def spoiled(content: bytes) -> bytes:
    """Changes one byte of the packed data, so the checksum is wrong."""
    at = content.index(b"PK\x01\x02") - 20
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def encrypted(content: bytes) -> bytes:
    """Marks the archive as encrypted."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        changed[at : at + 2] = struct.pack("<H", 1)
    return bytes(changed)


GOOD = [cells(), cells(number="ORDER2")]
BROKEN: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "HTML": lambda: "<html>系统繁忙</html>".encode("gbk"),
    "cut-off zip": lambda: archive(table(GOOD))[:-40],
    "wrong checksum": lambda: spoiled(archive(table(GOOD))),
    "encrypted": lambda: encrypted(archive(table(GOOD))),
    "no table": lambda: archive("x", names=["readme.txt"]),
    "summary alone": lambda: archive(table(GOOD), names=[f"{NAME}(汇总).csv"]),
    "two tables": lambda: archive(table(GOOD), table(GOOD), names=["a.csv", "b.csv"]),
    "many members": lambda: archive(*[table(GOOD)] * 20, names=[f"{n}.txt" for n in range(20)]),
    "empty table": lambda: archive(""),
    "no end": lambda: archive(table(GOOD, end="")),
    "no header": lambda: archive(table([], columns="#")),
    "a column less": lambda: archive(table(GOOD, columns=COLUMNS.replace("服务费（元）", "别的"))),
    "a column twice": lambda: archive(table(GOOD, columns=COLUMNS.replace("备注", "商户订单号"))),
    "a short row": lambda: archive(table(["T1,O1,交易,课程"])),
    "no amount": lambda: archive(table([cells(amount="")])),
    "text for an amount": lambda: archive(table([cells(amount="二十")])),
    "an exponent": lambda: archive(table([cells(amount="1e3")])),
    "three places": lambda: archive(table([cells(amount="1.001")])),
    "NaN": lambda: archive(table([cells(amount="NaN")])),
    "other digits": lambda: archive(table([cells(amount="２０.00")])),
    "no fee": lambda: archive(table([cells(fee="x")])),
    "payments missing": lambda: archive(table(GOOD, trailer=["#交易合计：3笔，商家实收共9.93元"])),
    "refunds missing": lambda: archive(table(GOOD, trailer=["#退款合计：1笔，商家实收退款共-1.00元"])),
    "a line without end": lambda: archive(table(["x" * 20_000])),
}


@pytest.mark.parametrize("name", BROKEN)
def test_incomplete_bill_is_refused(name: str) -> None:
    with pytest.raises(BillUnreadable) as refusal:
        read(BROKEN[name]())
    assert isinstance(refusal.value, GatewayUnreachable)
    assert "ORDER1" not in str(refusal.value)


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bills, "MAX_ROWS", 1)
    assert len(read(archive(table(GOOD[:1])))) == 1
    with pytest.raises(BillUnreadable):
        read(archive(table(GOOD)))
    monkeypatch.setattr(bills, "MAX_ROWS", 10)
    monkeypatch.setattr(bills, "MAX_TEXT_BYTES", 500)
    with pytest.raises(BillUnreadable):
        read(archive(table(GOOD)))


def test_a_bomb_is_read_no_further_than_its_first_line() -> None:
    """One line of a hundred megabytes, packed into a hundred kilobytes."""
    with pytest.raises(BillUnreadable, match="too large"):
        read(archive(b"x" * 100_000_000))


def test_rows_come_one_by_one() -> None:
    rows = make_gateway().read_bill(archive(table([*GOOD, "broken"])))
    assert [next(rows).out_trade_no for _ in range(2)] == ["ORDER1", "ORDER2"]
    with pytest.raises(BillUnreadable):
        next(rows)


@pytest.mark.parametrize(
    ("code", "is_final"),
    [("NO_BILL_DATA", True), ("BILL_DATE_BEFORE_REGISTRATION", True), ("BILL_NOT_EXIST", False)],
)
def test_missing_bill_is_a_business_refusal(code: str, is_final: bool) -> None:
    def answer(parameters: dict[str, Any]) -> bytes:
        return signed_answer(METHOD, {"code": "40004", "msg": "Business Failed", "sub_code": code})

    with gateway_server(answer) as told, pytest.raises(GatewayRejected) as refusal:
        make_gateway(told.url).download_bill(DAY)
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.NO_BILL, is_final)
    assert outcome_of(refusal.value, ()) is CallOutcome.REFUSED
