"""The business bill: two GBK tables in a zip, with the layout of Alipay's download centre."""

import contextlib
import csv
import io
import secrets
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import MAXYEAR, datetime, timedelta

from payments.simulator.faults import Event
from payments.simulator.merchants import Merchant
from payments.simulator.money import format_yuan, parse_difference
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.times import BEIJING, format_time

# The merchant's settlement account: the seller id with this suffix.
ACCOUNT_SUFFIX = "0156"
COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,商家优惠（元）,卡消费金额（元）,服务费（元）,"
    "分润（元）,实收净额（元）"
)
PAYMENT, REFUND = "交易", "退款"


@dataclass(frozen=True)
class Period:
    """A day or a month in Beijing, and when its bill becomes available."""

    label: str
    start: datetime
    end: datetime
    ready_at: float


@dataclass(frozen=True)
class BillRow:
    trade_no: str
    out_trade_no: str
    kind: str
    subject: str
    created_at: float
    completed_at: float
    buyer: str
    amount_fen: int
    fee_fen: int
    out_request_no: str = ""


def parse_period(text: str) -> Period | None:
    """`yyyy-MM-dd`, ready at nine the next morning, or `yyyy-MM`, ready on the third; None for anything
    else.
    """
    for pattern in ("%Y-%m-%d", "%Y-%m"):
        with contextlib.suppress(ValueError):
            start = datetime.strptime(text, pattern).replace(tzinfo=BEIJING)
            # strptime also accepts 2026-1-1. The last representable year has no next day.
            if start.strftime(pattern) == text and start.year < MAXYEAR:
                return _make_period(start, is_month=pattern == "%Y-%m")
    return None


def _make_period(start: datetime, *, is_month: bool) -> Period:
    if is_month:
        end = (start + timedelta(days=32)).replace(day=1)
        return Period(f"{start:%Y%m}", start, end, (end + timedelta(days=2, hours=9)).timestamp())
    end = start + timedelta(days=1)
    return Period(f"{start:%Y%m%d}", start, end, (end + timedelta(hours=9)).timestamp())


def list_bill_rows(sim: Simulation, db: Database, app_id: str, period: Period) -> list[BillRow]:
    """Payments and refunds completed in the period, in order of completion."""
    span = (app_id, period.start.timestamp(), period.end.timestamp())
    payments = db.list("SELECT * FROM trade WHERE app_id = ? AND paid_at >= ? AND paid_at < ?", *span)
    refunds = db.list(
        "SELECT trade.*, out_request_no, refunded_at, amount_fen FROM refund JOIN trade USING (trade_no)"
        " WHERE app_id = ? AND refunded_at >= ? AND refunded_at < ?",
        *span,
    )
    rows = [_payment_row(sim, trade) for trade in payments] + [_refund_row(row) for row in refunds]
    return sorted(rows, key=lambda row: (row.completed_at, row.trade_no))


def distort(sim: Simulation, app_id: str, rows: list[BillRow], period: Period) -> list[BillRow]:
    """The rows with the bill faults applied."""
    distorted = []
    for row in rows:
        event = Event(app_id=app_id, out_trade_no=row.out_trade_no)
        if sim.faults.take("business", event, ["bill_missing"]) is not None:
            continue
        fault = sim.faults.take("business", event, ["bill_amount"])
        difference = (parse_difference(fault.params["difference"]) or 0) if fault else 0
        distorted.append(replace(row, amount_fen=_grown(row.amount_fen, difference)))
    if sim.faults.take("business", Event(app_id=app_id), ["bill_extra"]) is not None:
        distorted.append(_strange_row(period))
    return distorted


def _grown(fen: int, difference: int) -> int:
    """The amount in fen with its size changed by `difference`, down to 0. The sign stays the same."""
    size = max(abs(fen) + difference, 0)
    return -size if fen < 0 else size


def build_zip(merchant: Merchant, period: Period, rows: list[BillRow], now: float) -> bytes:
    """The zip with the detailed and the summary table. `now` is the virtual time of the export."""
    account = merchant.seller_id + ACCOUNT_SUFFIX
    stem = f"{account}_{period.label}_业务明细"
    return _zip_gbk(
        {
            f"{stem}.csv": _detail(account, period, rows, now),
            f"{stem}(汇总).csv": _summary(account, period, rows, now),
        }
    )


def _payment_row(sim: Simulation, trade: Row) -> BillRow:
    # Rounded half up to the fen. Negative, since the merchant pays it.
    fee_fen = -((trade["total_fen"] * sim.settings.service_fee_per_mille + 500) // 1000)
    return BillRow(
        trade["trade_no"],
        trade["out_trade_no"],
        PAYMENT,
        trade["subject"],
        trade["created_at"],
        trade["paid_at"],
        trade["buyer_logon_id"],
        trade["total_fen"],
        fee_fen,
    )


def _refund_row(row: Row) -> BillRow:
    """Amounts are negative; the payment's fee is not refunded."""
    return BillRow(
        row["trade_no"],
        row["out_trade_no"],
        REFUND,
        row["subject"],
        row["created_at"],
        row["refunded_at"],
        row["buyer_logon_id"],
        -row["amount_fen"],
        0,
        row["out_request_no"],
    )


def _strange_row(period: Period) -> BillRow:
    at = period.start.timestamp() + 3600
    trade_no = f"{period.start:%Y%m%d}22001{secrets.randbelow(10**15):015d}"
    return BillRow(
        trade_no,
        f"STRANGE{secrets.token_hex(8)}",
        PAYMENT,
        "陌生的订单",
        at,
        at + 5,
        "str***@example.com",
        100,
        -1,
    )


def _cells(row: BillRow) -> list[str]:
    """Text cells end with a TAB, so that spreadsheets don't read them as numbers."""
    amount, zero = format_yuan(row.amount_fen), "0.00"
    times = [format_time(row.created_at), format_time(row.completed_at)]
    head = [
        f"{row.trade_no}\t",
        f"{row.out_trade_no}\t",
        f"{row.kind}\t",
        row.subject,
        *times,
        "\t",
        "\t",
        "\t",
        "\t",
        f"{row.buyer}\t",
    ]
    discounts = [zero, zero, zero, zero, zero, "\t", zero, zero]
    return [
        *head,
        amount,
        amount,
        *discounts,
        f"{row.out_request_no}\t",
        format_yuan(row.fee_fen),
        zero,
        "\t",
    ]


def _detail(account: str, period: Period, rows: list[BillRow], now: float) -> str:
    payments = [row for row in rows if row.kind == PAYMENT]
    refunds = [row for row in rows if row.kind == REFUND]
    lines = [
        "#支付宝业务明细查询",
        *_heading(account, period),
        "#-----------------------------------------业务明细列表----------------------------------------",
        COLUMNS,
        *_table(_cells(row) for row in rows),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{len(payments)}笔，商家实收共{_total(payments)}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{_total(refunds)}元，商家优惠退款共0.00元",
        f"#导出时间：[{format_time(now)}]",
    ]
    return "\r\n".join(lines) + "\r\n"


def _summary(account: str, period: Period, rows: list[BillRow], now: float) -> str:
    payments = sum(row.kind == PAYMENT for row in rows)
    fee = sum(row.fee_fen for row in rows)
    net = sum(row.amount_fen for row in rows)
    amounts = [
        _total(rows),
        _total(rows),
        "0.00",
        "0.00",
        "0.00",
        format_yuan(fee),
        "0.00",
        format_yuan(net + fee),
    ]
    figures = [str(payments), str(len(rows) - payments), *amounts]
    lines = [
        "#支付宝业务汇总查询",
        *_heading(account, period),
        "#-----------------------------------------业务汇总列表----------------------------------------",
        SUMMARY_COLUMNS,
        *_table([["\t", "\t", *figures], ["合计\t", "\t", *figures]]),
        "#-----------------------------------------业务汇总列表结束------------------------------------",
        f"#导出时间：[{format_time(now)}]",
    ]
    return "\r\n".join(lines) + "\r\n"


def _heading(account: str, period: Period) -> list[str]:
    pattern = "%Y年%m月%d日 00:00:00"
    return [
        f"#账号：[{account}]",
        f"#起始日期：[{period.start.strftime(pattern)}]   终止日期：[{period.end.strftime(pattern)}]",
    ]


def _table(rows: Iterable[list[str]]) -> list[str]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().splitlines()


def _total(rows: list[BillRow]) -> str:
    return format_yuan(sum(row.amount_fen for row in rows))


def _zip_gbk(files: dict[str, str]) -> bytes:
    """A zip whose member names are GBK bytes without the UTF-8 flag, as in Alipay's.

    Python's zipfile can only write ASCII or flagged UTF-8 names, so the members are written under ASCII names
    of the same length, and those are replaced afterwards; no checksum covers a member's name.
    """
    stand_ins: dict[bytes, bytes] = {}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, text) in enumerate(files.items()):
            real = name.encode("gbk")
            stand_in = f"{number}{secrets.token_hex(len(real))}"[: len(real)]
            stand_ins[stand_in.encode()] = real
            archive.writestr(stand_in, text.encode("gbk", "replace"))
    data = buffer.getvalue()
    for stand_in_bytes, real in stand_ins.items():
        data = data.replace(stand_in_bytes, real)
    return data
