"""The words for the states of payments and notifications, and the moves between them."""

from django.db.models import TextChoices


class PaymentStatus(TextChoices):
    OPEN = "open", "待支付"
    PAID = "paid", "已支付"
    CLOSED = "closed", "已关闭"
    FAILED = "failed", "失败"


class NotificationStatus(TextChoices):
    RECEIVED = "received", "已收到"
    APPLIED = "applied", "已生效"
    IGNORED = "ignored", "已忽略"
    QUARANTINED = "quarantined", "待人工处理"


class RefundKind(TextChoices):
    ORDER = "order", "订单退款"
    # Money for an order that couldn't take it: too late, or a second time.
    SURPLUS = "surplus", "多付退回"


class RefundStatus(TextChoices):
    REQUESTED = "requested", "待处理"
    SENT = "sent", "退款中"
    # The gateway's answer got lost; a query or an identical repeat will tell.
    UNKNOWN = "unknown", "结果待确认"
    SUCCEEDED = "succeeded", "已退款"
    FAILED = "failed", "退款失败"
    REJECTED = "rejected", "已拒绝"


class Product(TextChoices):
    PAGE = "page", "电脑网站"
    WAP = "wap", "手机网站"
    APP = "app", "APP"
    QR = "qr", "扫码"


PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.OPEN: frozenset({PaymentStatus.PAID, PaymentStatus.CLOSED, PaymentStatus.FAILED}),
    # Late money: Alipay can take a payment for a trade that we believed over. It is never dropped.
    PaymentStatus.CLOSED: frozenset({PaymentStatus.PAID}),
    PaymentStatus.PAID: frozenset(),
    PaymentStatus.FAILED: frozenset({PaymentStatus.PAID}),
}
NOTIFICATION_MOVES: dict[NotificationStatus, frozenset[NotificationStatus]] = {
    NotificationStatus.RECEIVED: frozenset({NotificationStatus.APPLIED, NotificationStatus.IGNORED, NotificationStatus.QUARANTINED}),
    NotificationStatus.QUARANTINED: frozenset({NotificationStatus.RECEIVED}),
    NotificationStatus.APPLIED: frozenset(),
    NotificationStatus.IGNORED: frozenset(),
}
REFUND_MOVES: dict[RefundStatus, frozenset[RefundStatus]] = {
    # Failed without having been sent: its attempts were used up before.
    RefundStatus.REQUESTED: frozenset({RefundStatus.SENT, RefundStatus.FAILED, RefundStatus.REJECTED}),
    RefundStatus.SENT: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.UNKNOWN}),
    RefundStatus.UNKNOWN: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset(),
    # Staff try again after mending the cause (an empty merchant balance, say).
    RefundStatus.FAILED: frozenset({RefundStatus.SENT}),
    RefundStatus.REJECTED: frozenset(),
}
