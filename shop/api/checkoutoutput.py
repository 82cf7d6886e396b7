"""The API's representation of a checkout."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shop.api.wire import ErrorOutput, Moment, Output, Yuan, error_body, moment, yuan
from shop.domain.checkout.checkouts import Checkout
from shop.domain.checkout.requote import Requote
from shop.domain.checkout.snapshot import ChosenQuote, CouponOption, CourseOption, Snapshot
from shop.models import PricePolicy
from shop.states import CouponType
from shop.texts import describe_coupon

_PERIODS = dict(PricePolicy.Period.choices)


class CouponOptionOutput(Output):
    """One coupon, with what it would save.

    The first entry of each list is `{"id": 0, "text": "请选择优惠券"}` with no other field.
    """

    id: int
    text: str
    name: str | UnsetType = UNSET
    coupon_type: Annotated[int, Meta(extra_json_schema={"enum": CouponType.values})] | UnsetType = UNSET
    money_equivalent_value: Yuan | UnsetType = UNSET
    off_percent: int | UnsetType | None = UNSET
    minimum_consume: Yuan | UnsetType = UNSET
    valid_from: Annotated[str, Meta(extra_json_schema={"format": "date"})] | UnsetType = UNSET
    valid_until: Annotated[str, Meta(extra_json_schema={"format": "date"})] | UnsetType = UNSET
    applicable: bool | UnsetType = UNSET
    reason: Annotated[str | None, Meta(description="不适用的原因")] | UnsetType = UNSET
    saving: Annotated[Yuan, Meta(description="可省金额（元）")] | UnsetType = UNSET


# Existing clients expect this entry first.
NO_COUPON = CouponOptionOutput(id=0, text="请选择优惠券")


class CheckoutCourseOutput(Output):
    course_id: int
    course_name: str
    course_img: str
    policy_id: int
    policy_price: Yuan
    policy_period: str
    policy_valid_period: int
    coupon_record_list: list[CouponOptionOutput]
    unpaid_order_number: Annotated[str | None, Meta(description="包含这门课程的待支付订单，没有则为 null")]


class PaymentListOutput(Output):
    """`policy_course_dict` by course id, `global_coupon_record_dict` by coupon record id (0 for none)."""

    policy_course_dict: dict[str, CheckoutCourseOutput]
    global_coupon_record_dict: dict[str, CouponOptionOutput]


class QuoteLineOutput(Output):
    course_id: int
    list_price: Yuan
    course_discount: Yuan
    global_discount: Yuan
    beili_amount: Yuan
    cash_amount: Yuan
    coupon_record_id: Annotated[int, Meta(description="0 表示不使用")]
    valid_period: Annotated[int, Meta(description="有效期（天）；下单被拒绝时的新报价中有")] | UnsetType = (
        UNSET
    )


class QuoteOutput(Output):
    """The same shape as the `quote` in the details of a refused order."""

    list_total: Yuan
    course_discount: Yuan
    global_discount: Yuan
    coupon_record_id: Annotated[int, Meta(description="全场券；0 表示不使用")]
    beili: int
    beili_amount: Yuan
    beili_max: Annotated[int, Meta(description="最多可用贝里")]
    alipay: Annotated[Yuan, Meta(description="支付宝应付")]
    lines: list[QuoteLineOutput]


class CheckoutOutput(Output):
    """`payment_list`, `balance`, `beili_per_yuan` and `quote` come with `ready`, `error` with `failed`."""

    checkout_id: str
    expires_at: Moment
    status: Literal["pending", "ready", "failed"]
    balance: Annotated[int, Meta(description="可用贝里")] | UnsetType = UNSET
    beili_per_yuan: int | UnsetType = UNSET
    payment_list: PaymentListOutput | UnsetType = UNSET
    quote: Annotated[QuoteOutput, Meta(description="按最优惠的优惠券组合计算，未使用贝里")] | UnsetType = (
        UNSET
    )
    error: Annotated[ErrorOutput, Meta(description="status 为 failed 时的原因")] | UnsetType = UNSET


class CheckoutQuoteOutput(Output):
    checkout_id: str
    expires_at: Moment
    quote: Annotated[QuoteOutput, Meta(description="beili 为实际使用的贝里，beili_max 为最多可用")]
    global_coupon_record_dict: Annotated[
        dict[str, CouponOptionOutput],
        Meta(description="全场券在此小计下是否可用、可省多少，以优惠券编号为键（0 表示不使用）"),
    ]


class CheckoutStartedOutput(Output):
    checkout_id: str
    status: Literal["pending"]
    url: str


class BoughtAgainOutput(CheckoutStartedOutput):
    left_out: Annotated[list[int], Meta(description="不能再购买的课程编号，没有放进结算单")]


def checkout_body(checkout: Checkout) -> CheckoutOutput:
    """A checkout that is ready, failed or pending."""
    base = CheckoutOutput(
        checkout_id=checkout.checkout_id, expires_at=moment(checkout.expires_at), status="pending"
    )
    if (result := checkout.result) is None:
        return base
    if result.snapshot is not None:
        return _ready(base, result.snapshot)
    assert result.refusal is not None
    refusal = result.refusal
    return msgspec.structs.replace(
        base, status="failed", error=error_body(refusal.slug, refusal.text, refusal.details)
    )


def requote_body(checkout: Checkout, requote: Requote) -> CheckoutQuoteOutput:
    """The quote for the buyer's choices."""
    return CheckoutQuoteOutput(
        checkout_id=checkout.checkout_id,
        expires_at=moment(checkout.expires_at),
        quote=_quote(requote.chosen),
        global_coupon_record_dict=_by_record(requote.global_coupons),
    )


def _ready(base: CheckoutOutput, snapshot: Snapshot) -> CheckoutOutput:
    return msgspec.structs.replace(
        base,
        status="ready",
        balance=snapshot.balance,
        beili_per_yuan=snapshot.beili_per_yuan,
        payment_list=PaymentListOutput(
            policy_course_dict={str(course.course_id): _course(course) for course in snapshot.courses},
            global_coupon_record_dict=_by_record(snapshot.global_coupons),
        ),
        quote=_quote(snapshot.suggested),
    )


def _quote(chosen: ChosenQuote) -> QuoteOutput:
    return msgspec.convert(chosen.to_json(), QuoteOutput)


def _by_record(options: Iterable[CouponOption]) -> dict[str, CouponOptionOutput]:
    return {"0": NO_COUPON} | {str(option.record_id): _coupon(option) for option in options}


def _course(course: CourseOption) -> CheckoutCourseOutput:
    return CheckoutCourseOutput(
        course_id=course.course_id,
        course_name=course.course_name,
        course_img=course.course_img,
        policy_id=course.policy_id,
        policy_price=yuan(course.price),
        policy_period=_PERIODS.get(course.valid_period, str(course.valid_period)),
        policy_valid_period=course.valid_period,
        coupon_record_list=[NO_COUPON, *map(_coupon, course.coupons)],
        unpaid_order_number=course.unpaid_order_number,
    )


def _coupon(option: CouponOption) -> CouponOptionOutput:
    terms = option.terms
    return CouponOptionOutput(
        id=option.record_id,
        text=f"{option.name}（{describe_coupon(terms)}）",
        name=option.name,
        coupon_type=terms.kind.value,
        money_equivalent_value=yuan(terms.value),
        off_percent=terms.off_percent,
        minimum_consume=yuan(terms.minimum),
        valid_from=option.valid_from.isoformat(),
        valid_until=option.valid_until.isoformat(),
        applicable=option.reason is None,
        reason=option.reason,
        saving=yuan(option.saving),
    )
