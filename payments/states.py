"""The words for the states of payments and notifications, and the moves between them."""

from django.db.models import TextChoices


class PaymentStatus(TextChoices):
    OPEN = "open", "待支付"
    PAID = "paid", "已支付"
    CLOSED = "closed", "已关闭"


class ClosedReason(TextChoices):
    """Why a payment is closed. An open or a paid one has none."""

    NEVER_PAID = "never_paid", "未支付"
    # The money came and went back whole before we heard of it.
    GIVEN_BACK = "given_back", "已全额退回"


class NotificationStatus(TextChoices):
    RECEIVED = "received", "已收到"
    # What it says would surprise, or can't be proven any more: the trade is queried, and the answer decides.
    ASKED = "asked", "待查询"
    APPLIED = "applied", "已生效"
    IGNORED = "ignored", "已忽略"
    QUARANTINED = "quarantined", "待人工处理"


class RefundKind(TextChoices):
    ORDER = "order", "订单退款"
    # Money for an order that couldn't take it: too late, or a second time.
    SURPLUS = "surplus", "多付退回"
    # Made at the gateway without us: in its merchant console, by a bank, by a chargeback.
    EXTERNAL = "external", "渠道侧退款"


class RefundStatus(TextChoices):
    # An external refund that the gateway told of; a query has yet to prove it.
    REPORTED = "reported", "待核实"
    REQUESTED = "requested", "待处理"
    SENT = "sent", "退款中"
    # The gateway's answer got lost; a query or an identical repeat will tell.
    UNKNOWN = "unknown", "结果待确认"
    SUCCEEDED = "succeeded", "已退款"
    FAILED = "failed", "退款失败"
    REJECTED = "rejected", "已拒绝"
    # Given back by other means than the gateway; `Refund.reference` says which.
    PAID_ELSEWHERE = "paid_elsewhere", "已另行退款"


class Explanation(TextChoices):
    """What an external refund was for."""

    # Nothing of the payment is left: the order ends with it.
    WHOLE = "whole", "整单退款"
    LINES = "lines", "所选课程"
    GOODWILL = "goodwill", "善意补偿"
    # It is how a refund that we had asked for was paid.
    REQUEST = "request", "已有退款申请"
    # The payment was for nothing we sold: too late, or a second time.
    SURPLUS = "surplus", "多付退回"


class BillStatus(TextChoices):
    WAITING = "waiting", "待核对"
    COMPARED = "compared", "已核对"


class BillRowKind(TextChoices):
    """What a row of a bill is about."""

    TRADE = "trade", "交易"
    REFUND = "refund", "退款"
    # Of a kind that the shop doesn't deal in.
    OTHER = "other", "其他"


class DifferenceKind(TextChoices):
    """How a bill and the shop's books differ about a trade or a refund."""

    # The bill has it, and we know no such number.
    MISSING_HERE = "missing_here", "本店没有"
    # We have it as paid or refunded, and no bill knows it.
    MISSING_THERE = "missing_there", "账单没有"
    OTHER_AMOUNT = "other_amount", "金额不一致"
    # Our number, under another number of the gateway's than the one that paid it.
    OTHER_TRADE = "other_trade", "交易号不一致"
    # We know the number, and not that its money has moved.
    NOT_DONE_HERE = "not_done_here", "本店未完成"


class DifferenceStatus(TextChoices):
    OPEN = "open", "待说明"
    # The books agree with the bill since, by what the gateway answered or another bill told.
    SETTLED = "settled", "已自行平账"
    EXPLAINED = "explained", "已说明"


class Product(TextChoices):
    PAGE = "page", "电脑网站"
    WAP = "wap", "手机网站"
    APP = "app", "APP"
    QR = "qr", "扫码"


PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.OPEN: frozenset({PaymentStatus.PAID, PaymentStatus.CLOSED}),
    # Late money: Alipay can take a payment for a trade that we believed over. It is never dropped.
    PaymentStatus.CLOSED: frozenset({PaymentStatus.PAID}),
    PaymentStatus.PAID: frozenset(),
}
# Beside the status: "" is an open or a paid payment's.
CLOSED_REASON_MOVES: dict[str, frozenset[str]] = {
    "": frozenset({ClosedReason.NEVER_PAID, ClosedReason.GIVEN_BACK}),
    ClosedReason.NEVER_PAID: frozenset({"", ClosedReason.GIVEN_BACK}),
    ClosedReason.GIVEN_BACK: frozenset(),
}
NOTIFICATION_MOVES: dict[NotificationStatus, frozenset[NotificationStatus]] = {
    NotificationStatus.RECEIVED: frozenset(
        {
            NotificationStatus.ASKED,
            NotificationStatus.APPLIED,
            NotificationStatus.IGNORED,
            NotificationStatus.QUARANTINED,
        }
    ),
    NotificationStatus.ASKED: frozenset(
        {NotificationStatus.APPLIED, NotificationStatus.IGNORED, NotificationStatus.QUARANTINED}
    ),
    # Ignored: staff dismiss it, once what it is about is right.
    NotificationStatus.QUARANTINED: frozenset({NotificationStatus.RECEIVED, NotificationStatus.IGNORED}),
    NotificationStatus.APPLIED: frozenset(),
    NotificationStatus.IGNORED: frozenset(),
}
REFUND_MOVES: dict[RefundStatus, frozenset[RefundStatus]] = {
    # Rejected: the gateway knows of no such refund, or staff dismiss it.
    RefundStatus.REPORTED: frozenset({RefundStatus.SUCCEEDED, RefundStatus.REJECTED}),
    # Failed without having been sent: its attempts were used up before. Paid elsewhere: an external refund
    # was meant for it.
    RefundStatus.REQUESTED: frozenset(
        {RefundStatus.SENT, RefundStatus.FAILED, RefundStatus.REJECTED, RefundStatus.PAID_ELSEWHERE}
    ),
    RefundStatus.SENT: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.UNKNOWN}),
    RefundStatus.UNKNOWN: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset(),
    # Staff try again after mending the cause (an empty merchant balance, say), give it up, or pay by other
    # means. Unknown: the gateway tells that it was done after all.
    RefundStatus.FAILED: frozenset(
        {RefundStatus.SENT, RefundStatus.UNKNOWN, RefundStatus.REJECTED, RefundStatus.PAID_ELSEWHERE}
    ),
    RefundStatus.REJECTED: frozenset(),
    RefundStatus.PAID_ELSEWHERE: frozenset(),
}
BILL_MOVES: dict[BillStatus, frozenset[BillStatus]] = {
    BillStatus.WAITING: frozenset({BillStatus.COMPARED}),
    BillStatus.COMPARED: frozenset(),
}
DIFFERENCE_MOVES: dict[DifferenceStatus, frozenset[DifferenceStatus]] = {
    DifferenceStatus.OPEN: frozenset({DifferenceStatus.SETTLED, DifferenceStatus.EXPLAINED}),
    DifferenceStatus.SETTLED: frozenset(),
    DifferenceStatus.EXPLAINED: frozenset(),
}
# Ours, and perhaps under way at the gateway.
REFUNDS_UNDER_WAY = (RefundStatus.SENT, RefundStatus.UNKNOWN)
