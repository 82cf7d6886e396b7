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


class Product(TextChoices):
    PAGE = "page", "电脑网站"
    WAP = "wap", "手机网站"
    APP = "app", "APP"
    QR = "qr", "扫码"


PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.OPEN: frozenset({PaymentStatus.PAID, PaymentStatus.CLOSED, PaymentStatus.FAILED}),
    # Late money: Alipay can take a payment for a trade that we believed closed.
    PaymentStatus.CLOSED: frozenset({PaymentStatus.PAID}),
    PaymentStatus.PAID: frozenset(),
    PaymentStatus.FAILED: frozenset(),
}
NOTIFICATION_MOVES: dict[NotificationStatus, frozenset[NotificationStatus]] = {
    NotificationStatus.RECEIVED: frozenset({NotificationStatus.APPLIED, NotificationStatus.IGNORED, NotificationStatus.QUARANTINED}),
    NotificationStatus.QUARANTINED: frozenset({NotificationStatus.RECEIVED}),
    NotificationStatus.APPLIED: frozenset(),
    NotificationStatus.IGNORED: frozenset(),
}
