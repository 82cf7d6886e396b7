"""The statuses of the shop's rows and the allowed moves between them. A move that isn't in a table can't
happen.
"""

from django.db.models import IntegerChoices, TextChoices


class OrderRequestStatus(TextChoices):
    PENDING = "pending", "处理中"
    CREATED = "created", "已创建"
    REJECTED = "rejected", "已拒绝"


class OrderStatus(TextChoices):
    AWAITING_PAYMENT = "awaiting_payment", "待支付"
    PAID = "paid", "已支付"
    CANCELLED = "cancelled", "已取消"
    EXPIRED = "expired", "已超时"
    REFUNDED = "refunded", "已退款"


class CouponRecordStatus(TextChoices):
    UNUSED = "unused", "未使用"
    RESERVED = "reserved", "已锁定"
    USED = "used", "已使用"
    EXPIRED = "expired", "已过期"


class EnrolmentStatus(TextChoices):
    ACTIVE = "active", "已开通"
    REVOKED = "revoked", "已收回"


class CourseStatus(IntegerChoices):
    ONLINE = 0, "上线"
    OFFLINE = 1, "下线"
    PRESALE = 2, "预上线"


class CourseType(IntegerChoices):
    PAID = 0, "付费"
    VIP_ONLY = 1, "VIP专享"
    DEGREE = 2, "学位课程"
    MEMBERSHIP = 3, "VIP会员"


class CouponType(IntegerChoices):
    FIXED = 0, "通用券"
    THRESHOLD = 1, "满减券"
    PERCENT = 2, "折扣券"


class CouponScope(TextChoices):
    ORDER = "order", "全场（整单）"
    ANY_COURSE = "any_course", "任意一门课程"
    COURSE = "course", "指定课程"


class PaymentType(IntegerChoices):
    """How an order is paid: by Alipay if any money is due, else with 贝里 if any are used, else by coupons
    alone.
    """

    ALIPAY = 1, "支付宝"
    COUPON = 2, "优惠码"
    BEILI = 3, "贝里"


ORDER_REQUEST_MOVES: dict[OrderRequestStatus, frozenset[OrderRequestStatus]] = {
    OrderRequestStatus.PENDING: frozenset({OrderRequestStatus.CREATED, OrderRequestStatus.REJECTED}),
    OrderRequestStatus.CREATED: frozenset(),
    # Only a request that was given up after too many attempts, when staff pick it up again. A refusal by a
    # rule is final; see `shop/domain/orders/repair.py`.
    OrderRequestStatus.REJECTED: frozenset({OrderRequestStatus.PENDING}),
}
ORDER_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.AWAITING_PAYMENT: frozenset({OrderStatus.PAID, OrderStatus.CANCELLED, OrderStatus.EXPIRED}),
    # Only when money arrives late and the order's coupons and 贝里 can be reserved again.
    OrderStatus.EXPIRED: frozenset({OrderStatus.PAID}),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.PAID: frozenset({OrderStatus.REFUNDED}),
    OrderStatus.REFUNDED: frozenset(),
}
COUPON_RECORD_MOVES: dict[CouponRecordStatus, frozenset[CouponRecordStatus]] = {
    CouponRecordStatus.UNUSED: frozenset({CouponRecordStatus.RESERVED, CouponRecordStatus.EXPIRED}),
    CouponRecordStatus.RESERVED: frozenset({CouponRecordStatus.USED, CouponRecordStatus.UNUSED}),
    # A full refund returns the coupons if `REFUND_RETURNS_COUPONS` is set.
    CouponRecordStatus.USED: frozenset({CouponRecordStatus.UNUSED}),
    CouponRecordStatus.EXPIRED: frozenset(),
}
ENROLMENT_MOVES: dict[EnrolmentStatus, frozenset[EnrolmentStatus]] = {
    EnrolmentStatus.ACTIVE: frozenset({EnrolmentStatus.REVOKED}),
    EnrolmentStatus.REVOKED: frozenset(),
}

# What a buyer can put into a cart. VIP-only courses have no price: they are open to members.
SELLABLE_COURSE_TYPES = frozenset({CourseType.PAID, CourseType.DEGREE, CourseType.MEMBERSHIP})
