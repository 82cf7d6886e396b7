"""Anticipated errors of payments; those of the shop are in `shop/errors.py`."""

from shop.errors import DomainError


class PaymentConfirming(DomainError):
    slug, code, status, message = (
        "payment_confirming",
        1182,
        409,
        "正在确认支付结果，请勿重复付款，稍后再试。",
    )
    retry_after_s = 5


class OrderNotPayable(DomainError):
    slug, code, status, message = "order_not_payable", 1150, 409, "订单当前状态不能支付。"


class GatewayNotConfigured(DomainError):
    slug, code, status, message = "gateway_not_configured", 1152, 503, "支付渠道尚未配置，请联系客服。"


class GatewayUnavailable(DomainError):
    slug, code, status, message = "gateway_unavailable", 1153, 503, "支付渠道暂时没有应答，请稍后再试。"


class OrderNotRefundable(DomainError):
    slug, code, status, message = "order_not_refundable", 1154, 409, "订单当前状态不能退款。"


class RefundLineTaken(DomainError):
    slug, code, status, message = "refund_line_taken", 1155, 409, "所选课程已退款或正在退款。"


class RefundNotOpen(DomainError):
    slug, code, status, message = "refund_not_open", 1156, 409, "这笔退款已经处理过了。"


class PaymentAlreadyMade(DomainError):
    slug, code, status, message = (
        "payment_already_made",
        1160,
        409,
        "支付宝已收到这笔付款，正在确认结果，请勿重复支付。",
    )


class PaymentClosed(DomainError):
    slug, code, status, message = "payment_closed", 1161, 409, "这次支付已在支付宝关闭，请重新下单。"


class PaymentOverLimit(DomainError):
    slug, code, status, message = (
        "payment_over_limit",
        1162,
        409,
        "金额超过支付宝的收款限额，请分成几笔订单购买或联系客服。",
    )


class PaymentNotPermitted(DomainError):
    slug, code, status, message = (
        "payment_not_permitted",
        1163,
        409,
        "商家尚未开通这种支付方式，请换一种方式支付或联系客服。",
    )


class PaymentAccountRefused(DomainError):
    slug, code, status = "payment_account_refused", 1164, 409
    message = "支付宝不允许这个账户付款（限额、账户状态或风险控制），请换一个账户。"


class PaymentRefused(DomainError):
    slug, code, status, message = "payment_refused", 1165, 409, "支付宝没有接受这次请求，请联系客服。"


class ExternalRefundUnexplained(DomainError):
    slug, code, status = "external_refund_unexplained", 1158, 409
    message = "支付渠道侧有一笔退款尚未核实或说明用途，请先处理。"


class RefundOverPayment(DomainError):
    slug, code, status, message = "refund_over_payment", 1159, 409, "这笔付款剩余的可退金额不足。"


class NotificationNotQuarantined(DomainError):
    slug, code, status, message = "notification_not_quarantined", 1157, 409, "这条通知不在待人工处理状态。"


class AccountInUse(DomainError):
    slug, code, status, message = (
        "account_in_use",
        1170,
        409,
        "账户还有未完成的订单、退款或通知，请先处理完。",
    )


class AccountIsStaff(DomainError):
    slug, code, status, message = "account_is_staff", 1171, 409, "员工账户不能抹除，请先取消其员工身份。"


class NotificationOrderNotRight(DomainError):
    slug, code, status, message = (
        "notification_order_not_right",
        1191,
        409,
        "它所指的订单还没有核对清楚，请先处理订单，再来确认。",
    )


class RefundNeedsSecondPerson(DomainError):
    slug, code, status, message = (
        "refund_needs_second_person",
        1192,
        409,
        "申请这笔退款的人不能自己批准，请由另一位同事处理。",
    )


class AccessNotRevocable(DomainError):
    slug, code, status, message = "access_not_revocable", 1196, 409, "这段课程已经收回或已经结束。"


class DifferenceNotOpen(DomainError):
    slug, code, status, message = (
        "difference_not_open",
        1197,
        409,
        "这项对账差异已经说明过，或已自行平账。",
    )
