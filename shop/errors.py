"""Anticipated errors of the shop, each with a stable slug; those of payments are in `payments/errors.py`.

Any other exception is a bug and surfaces as one. The API documents both modules' errors through the registry
at the end; `project/api/errors.py` maps them to HTTP.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

# The envelope's code for success, which existing clients expect.
SUCCESS_CODE = 1000


class DomainError(Exception):
    """A refusal that callers have to expect. Nothing has changed when it is raised.

    `slug` is part of the API's contract. `code` keeps the numbers that existing clients know (1001 the
    subject doesn't exist, 1002 the choice isn't valid, 1003 the request is malformed) and starts at 1100 for
    all others. `status` is the HTTP status, `message` a Chinese text for people, and `details` are JSON
    values for programs.
    """

    slug: ClassVar[str]
    code: ClassVar[int]
    status: ClassVar[int]
    message: ClassVar[str]
    # Seconds after which the same request may succeed; None if waiting doesn't help or the time is unknown.
    # 503 has its own default.
    retry_after_s: int | None = None

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.text = message or self.message
        self.details: Mapping[str, Any] = details
        super().__init__(self.text)


class InvalidInput(DomainError):
    slug, code, status, message = "invalid_input", 1003, 400, "请求内容有误，请检查后重试。"


class NotAuthenticated(DomainError):
    slug, code, status, message = "not_authenticated", 1101, 401, "请先登录。"


class PermissionRefused(DomainError):
    slug, code, status, message = "permission_refused", 1102, 403, "没有权限进行此操作。"


class NotFound(DomainError):
    slug, code, status, message = "not_found", 1001, 404, "没有找到您要的内容。"


class MethodNotAllowed(DomainError):
    slug, code, status, message = "method_not_allowed", 1103, 405, "此地址不支持该请求方法。"


class NotAcceptable(DomainError):
    slug, code, status, message = "not_acceptable", 1104, 406, "无法以所要求的格式回答。"


class BodyTooLarge(DomainError):
    slug, code, status, message = "body_too_large", 1105, 413, "请求内容过大。"


class UnsupportedMediaType(DomainError):
    slug, code, status, message = (
        "unsupported_media_type",
        1106,
        415,
        "请以 JSON 格式提交（Content-Type: application/json）。",
    )


class TooManyRequests(DomainError):
    """A rate limit is exhausted. `limit` names it; it has room again after `retry_after_s` seconds."""

    slug, code, status, message = "too_many_requests", 1107, 429, "操作过于频繁，请稍后再试。"

    def __init__(self, message: str | None = None, *, retry_after_s: int, limit: str) -> None:
        super().__init__(message, limit=limit, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class LengthRequired(DomainError):
    slug, code, status, message = "length_required", 1109, 411, "请求需要带上 Content-Length。"


class InternalError(DomainError):
    slug, code, status, message = "internal_error", 1199, 500, "系统出了点问题，我们已记录，请稍后再试。"


class ServiceUnavailable(DomainError):
    slug, code, status, message = "service_unavailable", 1198, 503, "服务暂时不可用，请稍后再试。"


class LoginFailed(DomainError):
    slug, code, status, message = "login_failed", 1108, 401, "用户名或密码不正确。"


class RegistrationClosed(DomainError):
    slug, code, status, message = "registration_closed", 1183, 403, "本店暂不开放注册。"


class UsernameTaken(DomainError):
    slug, code, status, message = "username_taken", 1184, 409, "这个用户名已被使用，请换一个。"


class PasswordTooEasy(DomainError):
    slug, code, status, message = "password_too_easy", 1185, 409, "这个密码太容易猜到，请换一个。"


class CourseNotFound(DomainError):
    slug, code, status, message = "course_not_found", 1001, 404, "课程不存在。"


class CategoryNotFound(DomainError):
    slug, code, status, message = "category_not_found", 1001, 404, "课程分类不存在。"


class CourseNotOnSale(DomainError):
    slug, code, status, message = "course_not_on_sale", 1110, 409, "课程已下架或暂不出售。"


class PolicyNotFound(DomainError):
    slug, code, status, message = "policy_not_found", 1002, 404, "所选的价格方案不存在或已不属于该课程。"


class CartLineNotFound(DomainError):
    slug, code, status, message = "cart_line_not_found", 1001, 404, "购物车中没有这门课程。"


class CartFull(DomainError):
    slug, code, status, message = "cart_full", 1111, 409, "购物车已满，请先结算或移除部分课程。"


class CouponNotFound(DomainError):
    slug, code, status, message = "coupon_not_found", 1001, 404, "优惠券活动不存在。"


class CouponNotOpen(DomainError):
    slug, code, status, message = "coupon_not_open", 1120, 409, "不在领取时间内。"


class CouponSoldOut(DomainError):
    slug, code, status, message = "coupon_sold_out", 1121, 409, "优惠券已被领完。"


class CouponAlreadyClaimed(DomainError):
    slug, code, status, message = "coupon_already_claimed", 1122, 409, "您已经领取过这张优惠券。"


class CheckoutNotFound(DomainError):
    slug, code, status, message = "checkout_not_found", 1001, 404, "结算单不存在或已过期，请重新结算。"


class CheckoutExpired(DomainError):
    slug, code, status, message = "checkout_expired", 1130, 409, "结算单已过期，请重新结算。"


class CheckoutMismatch(DomainError):
    slug, code, status, message = "checkout_mismatch", 1131, 409, "提交的课程与结算单不一致，请重新结算。"


class CheckoutUsed(DomainError):
    slug, code, status, message = "checkout_used", 1132, 409, "此结算单已经提交过订单。"


class CheckoutNotReady(DomainError):
    slug, code, status, message = (
        "checkout_not_ready",
        1133,
        409,
        "结算单尚未算好或未能算出，请稍后再试或重新结算。",
    )


class CourseNotInCart(DomainError):
    slug, code, status, message = "course_not_in_cart", 1001, 409, "所选课程不在购物车中。"


class OrderNotFound(DomainError):
    slug, code, status, message = "order_not_found", 1001, 404, "订单不存在。"


class OrderPending(DomainError):
    slug, code, status, message = "order_pending", 1180, 409, "订单还在处理中，请稍后再试。"
    retry_after_s = 1


class OrderRejected(DomainError):
    slug, code, status, message = "order_rejected", 1181, 409, "这个订单没有下单成功，没有产生任何扣款。"


class IdempotencyKeyMissing(DomainError):
    slug, code, status, message = (
        "idempotency_key_missing",
        1140,
        400,
        "缺少 Idempotency-Key 请求头（1 到 100 个可见字符）。",
    )


class IdempotencyKeyReused(DomainError):
    slug, code, status, message = (
        "idempotency_key_reused",
        1141,
        422,
        "同一个 Idempotency-Key 不能用于不同的请求。",
    )


class QuoteChanged(DomainError):
    slug, code, status, message = (
        "quote_changed",
        1142,
        409,
        "价格、有效期或优惠有变化，请确认新的报价后重新提交。",
    )


class BalanceInsufficient(DomainError):
    slug, code, status, message = "balance_insufficient", 1143, 409, "贝里余额不足。"


class CouponUnavailable(DomainError):
    slug, code, status, message = (
        "coupon_unavailable",
        1144,
        409,
        "优惠券不存在、已使用、已锁定或不在有效期内。",
    )


class CouponNotApplicable(DomainError):
    slug, code, status, message = (
        "coupon_not_applicable",
        1145,
        409,
        "优惠券不适用于所选课程或未达到使用门槛。",
    )


class CourseInUnpaidOrder(DomainError):
    slug, code, status, message = (
        "course_in_unpaid_order",
        1147,
        409,
        "这门课程已在您的另一笔待支付订单中，请先支付或取消那笔订单。",
    )


class FreeCourseOwned(DomainError):
    slug, code, status, message = (
        "free_course_owned",
        1148,
        409,
        "您已拥有这门免费课程，剩余有效期还很长，无需再次领取。",
    )


class AccessTooLong(DomainError):
    slug, code, status, message = (
        "access_too_long",
        1149,
        409,
        "这门课程的有效期已经足够长，暂时不能继续续期。",
    )


class AmountTooLarge(DomainError):
    slug, code, status, message = (
        "amount_too_large",
        1139,
        409,
        "应付金额超过支付宝单笔上限，请分成几笔订单购买。",
    )


class OrderFailed(DomainError):
    slug, code, status, message = "order_failed", 1146, 500, "订单处理失败，未产生任何扣款，请重新下单。"


class OrderNotCancellable(DomainError):
    slug, code, status, message = "order_not_cancellable", 1151, 409, "订单当前状态不能取消。"


class WorkNotDead(DomainError):
    slug, code, status, message = "work_not_dead", 1190, 409, "它没有被放弃，无需重新处理。"


class DeadlineNotMovable(DomainError):
    slug, code, status, message = (
        "deadline_not_movable",
        1193,
        409,
        "只有待支付且未申请取消的订单可以调整期限，新期限须在 1 分钟到 15 天之后。",
    )


class CouponCodeNotFound(DomainError):
    slug, code, status, message = "coupon_code_not_found", 1194, 404, "兑换码不存在、已使用或已作废。"


class CodesOverQuantity(DomainError):
    slug, code, status, message = (
        "codes_over_quantity",
        1195,
        409,
        "活动剩余的数量不够这么多兑换码，请先增加数量。",
    )


class StaleState(Exception):
    """A guarded UPDATE matched no row: another transaction was faster. The caller decides whether that
    matters.
    """


def registry() -> dict[str, type[DomainError]]:
    """Every slug that the API can return, with its class."""
    return {error.slug: error for error in DomainError.__subclasses__()}
