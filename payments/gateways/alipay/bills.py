"""Reads Alipay's daily bill: a zip with CSV files in GBK, of which the detailed one is read row by row.

Comment lines begin with #. Text cells end with a TAB, so that spreadsheets don't read them as numbers.
Columns are found by name, since Alipay has added some over the years.
"""

import csv
import io
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import IO, Final

from payments.gateways.alipay import wire
from payments.gateways.protocol import BillRow, BillUnreadable
from payments.states import BillRowKind

# Far above a real bill, which has two tables and at most 2,000 bytes per row.
MAX_MEMBERS = 10
MAX_ROWS = 1_000_000
MAX_LINE_BYTES = 16_384
MAX_TEXT_BYTES = 1_000_000_000
# The superset of GBK.
ENCODING = "gb18030"
SUMMARY = "(汇总)"
END = "业务明细列表结束"
# Names are compared in NFKC, so that full-width and ASCII brackets are the same.
TRADE_NO, OUT_TRADE_NO, KIND, SUBJECT = "支付宝交易号", "商户订单号", "业务类型", "商品名称"
AMOUNT, REQUEST_NO, FEE = "订单金额(元)", "退款批次号/请求号", "服务费(元)"
COLUMNS = (TRADE_NO, OUT_TRADE_NO, KIND, SUBJECT, AMOUNT, REQUEST_NO, FEE)
KINDS = {"交易": BillRowKind.TRADE, "退款": BillRowKind.REFUND}
# The trailer's patterns for the number of rows.
COUNTS: Final = {
    BillRowKind.TRADE: re.compile(r"#交易合计[：:](\d{1,9})笔", re.ASCII),
    BillRowKind.REFUND: re.compile(r"#退款合计[：:](\d{1,9})笔", re.ASCII),
}
_AMOUNT: Final = re.compile(rf"[+-]?{wire.AMOUNT.pattern}")
_NUMBER: Final = re.compile(r"[!-~]{1,64}")
_NO_NUMBER: Final = re.compile(r"[^!-~]")
_BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
    OSError, ValueError, csv.Error, )  # fmt: skip


def read_rows(archive: bytes) -> Iterator[BillRow]:
    """The rows of the detailed table, one by one.

    Raises:
        BillUnreadable: it isn't a complete bill. Rows that were yielded before don't count.
    """
    try:
        with (
            zipfile.ZipFile(io.BytesIO(archive), metadata_encoding="gbk") as bill,
            bill.open(_find_details(bill)) as table,
        ):
            yield from _read_table(table)
    except _BROKEN as error:
        # The file's content must not get into logs.
        raise BillUnreadable(f"not a bill: {type(error).__name__}") from error


def _find_details(bill: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = bill.infolist()
    if len(members) > MAX_MEMBERS:
        raise BillUnreadable("the bill has too many members")
    tables = [one for one in members if one.filename.lower().endswith(".csv") and SUMMARY not in one.filename]
    if len(tables) != 1:
        raise BillUnreadable("the bill doesn't have one detailed table")
    return tables[0]


def _read_table(table: IO[bytes]) -> Iterator[BillRow]:
    header: list[str] = []
    counted: Counter[BillRowKind] = Counter()
    told: dict[BillRowKind, int] = {}
    is_whole = False
    for line in _read_lines(table):
        if line.startswith("#"):
            is_whole = is_whole or END in line
            told |= {kind: int(found[1]) for kind, what in COUNTS.items() if (found := what.match(line))}
        elif not line.strip():
            continue
        elif not header:
            header = _read_header(line)
        else:
            row = _read_row(header, line)
            counted[row.kind] += 1
            if counted.total() > MAX_ROWS:
                raise BillUnreadable("the bill has too many rows")
            yield row
    if not header or not is_whole:
        raise BillUnreadable("the bill's table is cut off")
    if any(counted[kind] != count for kind, count in told.items()):
        raise BillUnreadable("the bill's table has another number of rows than it says")


def _read_lines(table: IO[bytes]) -> Iterator[str]:
    """Yields line by line, so that an unclosed quotation mark doesn't affect the lines after it.

    A byte that isn't GBK becomes a replacement character.
    """
    size = 0
    while line := table.readline(MAX_LINE_BYTES + 1):
        size += len(line)
        if len(line) > MAX_LINE_BYTES or size > MAX_TEXT_BYTES:
            raise BillUnreadable("the bill's table is too large")
        yield line.decode(ENCODING, "replace").strip("\r\n")


def _read_header(line: str) -> list[str]:
    names = [unicodedata.normalize("NFKC", cell).strip() for cell in _cells(line)]
    if missing := [name for name in COLUMNS if names.count(name) != 1]:
        raise BillUnreadable(f"the bill's table lacks {'、'.join(missing)}")
    return names


def _read_row(header: Sequence[str], line: str) -> BillRow:
    cells = _cells(line)
    if len(cells) < len(header):
        # An unclosed quotation mark merges the cells behind it: split the line without quoting.
        cells = line.split(",")
    if len(cells) < len(header):
        raise BillUnreadable("a row of the bill is too short")
    # A comma in a product's name yields extra cells: columns before it are counted from the left, columns
    # after it from the right.
    middle = header.index(SUBJECT)
    row = {name: cells[at if at <= middle else at - len(header)] for at, name in enumerate(header)}
    kind = KINDS.get(row[KIND].strip(), BillRowKind.OTHER)
    request_no = row[REQUEST_NO].strip() if kind is BillRowKind.REFUND else ""
    amount = _amount(row, AMOUNT)
    return BillRow(
        kind=kind,
        trade_no=_number(row, TRADE_NO),
        out_trade_no=_number(row, OUT_TRADE_NO),
        out_request_no=request_no if wire.REFUND_NUMBER.fullmatch(request_no) else "",
        # Refunds are negative in some bills and positive in others: the row's kind gives the direction. A
        # payment keeps its sign: a negative one never agrees with the books, so it shows up as a difference.
        amount=abs(amount) if kind is BillRowKind.REFUND else amount,
        fee=_amount(row, FEE),
    )


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]))


def _number(row: Mapping[str, str], name: str) -> str:
    """A trade or refund number as it is. A value that can't be one is made printable, and matches no row."""
    text = row[name].strip()
    return text if _NUMBER.fullmatch(text) else _NO_NUMBER.sub("?", text)[:64]


def _amount(row: Mapping[str, str], name: str) -> Decimal:
    text = row[name].strip()
    if not _AMOUNT.fullmatch(text):
        raise BillUnreadable(f"{name} of a row of the bill is no amount")
    return wire.yuan(text)
