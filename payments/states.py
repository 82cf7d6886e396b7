"""The statuses of payments, refunds, notifications and bills, and the allowed moves between them."""

from django.db.models import TextChoices


class PaymentStatus(TextChoices):
    OPEN = "open", "待支付"
    PAID = "paid", "已支付"
    CLOSED = "closed", "已关闭"


class ClosedReason(TextChoices):
    """Why a payment is closed. Open and paid payments have none."""

    NEVER_PAID = "never_paid", "未支付"
    # The trade was paid and fully refunded before we heard of it.
    GIVEN_BACK = "given_back", "已全额退回"


class NotificationStatus(TextChoices):
    RECEIVED = "received", "已收到"
    # Unexpected in the payment's state, or no longer verifiable: the trade is queried, and the answer is
    # applied.
    ASKED = "asked", "待查询"
    APPLIED = "applied", "已生效"
    IGNORED = "ignored", "已忽略"
    QUARANTINED = "quarantined", "待人工处理"


class NotificationReason(TextChoices):
    """Why a notification wasn't applied as it came: an outcome (`payments/domain/trades/outcomes.py`), or why
    there was none.
    """

    WAITING = "waiting", "尚未支付"
    ALREADY_APPLIED = "already_applied", "此前已生效"
    ASKED = "asked", "与记录不符，先查询交易"
    UNKNOWN_TRADE = "unknown_trade", "没有这笔支付"
    WRONG_APP = "wrong_app", "应用编号不符"
    WRONG_SELLER = "wrong_seller", "收款方不符"
    WRONG_AMOUNT = "wrong_amount", "金额不符"
    WRONG_TRADE_NO = "wrong_trade_no", "交易号不符"
    REFUNDED_ELSEWHERE = "refunded_elsewhere", "有来历不明的退款"
    CONTRADICTED = "contradicted", "查询结果与账目矛盾"
    # Proven when it came, but not any more: the key that proved it has been removed since.
    UNPROVEN = "unproven", "验签公钥已更换"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted", "多次处理失败"


class RefundKind(TextChoices):
    ORDER = "order", "订单退款"
    # Money that the order couldn't accept: it came too late, or a second time.
    SURPLUS = "surplus", "多付退回"
    # Made at the gateway without the shop: in its merchant console, by a bank, by a chargeback.
    EXTERNAL = "external", "渠道侧退款"


class RefundStatus(TextChoices):
    # An external refund that the gateway reported and that a query hasn't confirmed yet.
    REPORTED = "reported", "待核实"
    REQUESTED = "requested", "待处理"
    SENT = "sent", "退款中"
    # The gateway's answer was lost; a query or an identical retry will find the outcome.
    UNKNOWN = "unknown", "结果待确认"
    SUCCEEDED = "succeeded", "已退款"
    FAILED = "failed", "退款失败"
    REJECTED = "rejected", "已拒绝"
    # Paid by other means than the gateway, which `Refund.reference` names.
    PAID_ELSEWHERE = "paid_elsewhere", "已另行退款"


class Explanation(TextChoices):
    """What an external refund was for."""

    # The payment is fully refunded, which ends the order.
    WHOLE = "whole", "整单退款"
    LINES = "lines", "所选课程"
    GOODWILL = "goodwill", "善意补偿"
    # It paid a refund that was requested in the shop.
    REQUEST = "request", "已有退款申请"
    # It returned money that the order couldn't accept: too late, or a second time.
    SURPLUS = "surplus", "多付退回"


class BillStatus(TextChoices):
    WAITING = "waiting", "待核对"
    COMPARED = "compared", "已核对"


class BillRowKind(TextChoices):
    """What a row of a bill is about."""

    TRADE = "trade", "交易"
    REFUND = "refund", "退款"
    # Of a kind that the shop doesn't use.
    OTHER = "other", "其他"


class DifferenceKind(TextChoices):
    """How a bill and the shop's books differ about a trade or a refund."""

    # The bill lists a number that is unknown here.
    MISSING_HERE = "missing_here", "本店没有"
    # Paid or refunded here, but on no bill.
    MISSING_THERE = "missing_there", "账单没有"
    OTHER_AMOUNT = "other_amount", "金额不一致"
    # Our number, but with a different trade number than the one that paid it.
    OTHER_TRADE = "other_trade", "交易号不一致"
    # The number is known here, but not as paid or refunded.
    NOT_DONE_HERE = "not_done_here", "本店未完成"


class DifferenceStatus(TextChoices):
    OPEN = "open", "待说明"
    # The books have come to agree with the bill, through a query or another bill.
    SETTLED = "settled", "已自行平账"
    EXPLAINED = "explained", "已说明"


class Product(TextChoices):
    PAGE = "page", "电脑网站"
    WAP = "wap", "手机网站"
    APP = "app", "APP"
    QR = "qr", "扫码"


PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.OPEN: frozenset({PaymentStatus.PAID, PaymentStatus.CLOSED}),
    # Late money: Alipay can accept a payment for a trade that was closed here. It is never dropped.
    PaymentStatus.CLOSED: frozenset({PaymentStatus.PAID}),
    PaymentStatus.PAID: frozenset(),
}
# Moves of the reason, beside those of the status; "" is the reason of an open or a paid payment.
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
    # Ignored: staff dismiss it once its order is right.
    NotificationStatus.QUARANTINED: frozenset({NotificationStatus.RECEIVED, NotificationStatus.IGNORED}),
    NotificationStatus.APPLIED: frozenset(),
    NotificationStatus.IGNORED: frozenset(),
}
REFUND_MOVES: dict[RefundStatus, frozenset[RefundStatus]] = {
    # Rejected: the gateway knows of no such refund, or staff dismiss it.
    RefundStatus.REPORTED: frozenset({RefundStatus.SUCCEEDED, RefundStatus.REJECTED}),
    # Failed without having been sent: its attempts were used up before that. Paid elsewhere: an external
    # refund turned out to be its payment.
    RefundStatus.REQUESTED: frozenset(
        {RefundStatus.SENT, RefundStatus.FAILED, RefundStatus.REJECTED, RefundStatus.PAID_ELSEWHERE}
    ),
    RefundStatus.SENT: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.UNKNOWN}),
    RefundStatus.UNKNOWN: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset(),
    # Staff fix the cause (such as an empty merchant balance) and retry, give up, or pay by other means.
    # Unknown: the gateway reports that it was done after all, which a query has to confirm.
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
# Refunds of ours that the gateway may be processing.
REFUNDS_UNDER_WAY = (RefundStatus.SENT, RefundStatus.UNKNOWN)
