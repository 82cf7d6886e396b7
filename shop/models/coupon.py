from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.base import SavesChanges
from shop.models.catalogue import Course
from shop.models.fields import YuanField, names_of, not_negative
from shop.states import CouponRecordStatus, CouponScope, CouponType

# A hundred years: practically for ever, but still within the range of dates.
MAX_VALID_DAYS = 36500


class Coupon(SavesChanges):
    """A campaign: what its coupons take off, who may claim them when, and how long they are good for."""

    name = models.CharField(_("活动名称"), max_length=64)
    brief = models.TextField(_("活动介绍"), max_length=512, blank=True, default="")
    coupon_type = models.SmallIntegerField(_("类型"), choices=names_of(CouponType), default=CouponType.FIXED)
    money_equivalent_value = YuanField(_("减免金额（元）"), default=0, help_text=_("通用券和满减券填写"))
    off_percent = models.PositiveSmallIntegerField(
        _("折扣"), null=True, blank=True, help_text=_("只针对折扣券：7.9折写 79，即支付原价的 79%")
    )
    minimum_consume = YuanField(_("满多少可用（元）"), default=0, help_text=_("仅在满减券时填写"))
    scope = models.CharField(
        _("适用范围"), max_length=16, choices=names_of(CouponScope), default=CouponScope.ORDER
    )
    course = models.ForeignKey(
        Course, models.PROTECT, null=True, blank=True, related_name="coupons", verbose_name=_("指定课程")
    )
    quantity = models.PositiveIntegerField(_("数量（张）"), default=1)
    claimed_count = models.PositiveIntegerField(_("已领取"), default=0, editable=False)
    open_date = models.DateField(_("领取开始日期"))
    close_date = models.DateField(_("领取结束日期"), help_text=_("当天仍可领取"))
    # Not open for claims: a coupon is redeemed with a code (`CouponCode`), or given by staff.
    is_code_only = models.BooleanField(
        _("仅凭兑换码领取"),
        default=False,
        db_default=False,
        help_text=_("不在领券中心显示，只能用兑换码领取"),
    )
    valid_begin_date = models.DateField(_("有效期开始"), null=True, blank=True)
    valid_end_date = models.DateField(_("有效期结束"), null=True, blank=True, help_text=_("当天仍可使用"))
    coupon_valid_days = models.PositiveIntegerField(
        _("领取后有效天数"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_VALID_DAYS)],
        help_text=_("自领取之日起算，与上面的日期以先到者为准"),
    )
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "优惠券活动")
        verbose_name_plural = pgettext_lazy("many", "优惠券活动")
        permissions: ClassVar = [("give_coupon", _("可向买家发券")), ("make_codes", _("可生成兑换码"))]
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                # Each type has exactly its own fields. A CHECK passes when a comparison yields NULL, so NULLs
                # are refused explicitly.
                condition=Q(
                    coupon_type=CouponType.FIXED,
                    money_equivalent_value__gt=0,
                    off_percent=None,
                    minimum_consume=0,
                )
                | Q(
                    coupon_type=CouponType.THRESHOLD,
                    money_equivalent_value__gt=0,
                    off_percent=None,
                    minimum_consume__gt=0,
                )
                | Q(
                    coupon_type=CouponType.PERCENT,
                    money_equivalent_value=0,
                    off_percent__isnull=False,
                    off_percent__gte=1,
                    off_percent__lte=99,
                    minimum_consume=0,
                ),
                name="coupon_type_has_its_fields",
            ),
            models.CheckConstraint(
                condition=Q(scope=CouponScope.COURSE, course__isnull=False)
                | Q(scope__in=[CouponScope.ORDER, CouponScope.ANY_COURSE], course__isnull=True),
                name="coupon_scope_matches_course",
            ),
            models.CheckConstraint(
                condition=Q(claimed_count__lte=F("quantity")), name="coupon_claims_within_quantity"
            ),
            models.CheckConstraint(
                condition=Q(close_date__gte=F("open_date")), name="coupon_claim_window_in_order"
            ),
            models.CheckConstraint(
                # Both absolute dates or none; and every coupon must expire.
                condition=Q(
                    valid_begin_date__isnull=False,
                    valid_end_date__isnull=False,
                    valid_end_date__gte=F("valid_begin_date"),
                )
                | Q(
                    valid_begin_date__isnull=True,
                    valid_end_date__isnull=True,
                    coupon_valid_days__isnull=False,
                    coupon_valid_days__gte=1,
                ),
                name="coupon_validity_defined",
            ),
            models.CheckConstraint(
                condition=Q(coupon_valid_days__isnull=True) | Q(coupon_valid_days__gte=1),
                name="coupon_valid_days_positive",
            ),
            models.CheckConstraint(
                condition=Q(coupon_valid_days__isnull=True) | Q(coupon_valid_days__lte=MAX_VALID_DAYS),
                name="coupon_valid_days_bounded",
            ),
            not_negative("money_equivalent_value", "minimum_consume", name="coupon_amounts_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class CouponRecord(SavesChanges):
    """One buyer's coupon.

    Its dates are fixed when it is claimed; later changes to the campaign don't affect it.
    """

    coupon = models.ForeignKey(
        Coupon, models.PROTECT, db_index=False, related_name="records", verbose_name=_("活动")
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        db_index=False,
        related_name="coupon_records",
        verbose_name=_("持有者"),
    )
    number = models.CharField(_("券号"), max_length=64)
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(CouponRecordStatus), default=CouponRecordStatus.UNUSED
    )
    claimed_at = models.DateTimeField(_("领取时间"))
    valid_from_date = models.DateField(_("生效日期"))
    valid_until_date = models.DateField(_("失效日期"), help_text=_("当天仍可使用"))
    order = models.ForeignKey(
        "shop.Order",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="coupon_records",
        verbose_name=pgettext_lazy("one", "订单"),
    )
    used_at = models.DateTimeField(_("使用时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "优惠券")
        verbose_name_plural = pgettext_lazy("many", "优惠券")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["number"], name="coupon_record_number"),
            models.UniqueConstraint(fields=["coupon", "account"], name="coupon_record_one_per_buyer"),
            models.CheckConstraint(
                condition=Q(
                    status__in=[CouponRecordStatus.UNUSED, CouponRecordStatus.EXPIRED],
                    order__isnull=True,
                    used_at__isnull=True,
                )
                | Q(status=CouponRecordStatus.RESERVED, order__isnull=False, used_at__isnull=True)
                | Q(status=CouponRecordStatus.USED, order__isnull=False, used_at__isnull=False),
                name="coupon_record_status_matches_order",
            ),
            models.CheckConstraint(
                condition=Q(valid_until_date__gte=F("valid_from_date")), name="coupon_record_dates_in_order"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "status"], name="coupon_record_of_buyer"),
            models.Index(
                fields=["valid_until_date"],
                condition=Q(status=CouponRecordStatus.UNUSED),
                name="coupon_record_expiring",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CouponCode(SavesChanges):
    """A code that can be redeemed once for a coupon of the campaign."""

    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="codes", verbose_name=_("活动"))
    code = models.CharField(pgettext_lazy("one", "兑换码"), max_length=20)
    # Identifies codes that were created together.
    batch = models.CharField(_("批次"), max_length=64)
    record = models.OneToOneField(
        CouponRecord, models.PROTECT, null=True, blank=True, related_name="code", verbose_name=_("兑换的券")
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("生成人")
    )
    created_at = models.DateTimeField(_("生成时间"))
    redeemed_at = models.DateTimeField(_("兑换时间"), null=True, blank=True)
    # When staff withdrew it unused.
    withdrawn_at = models.DateTimeField(_("作废时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "兑换码")
        verbose_name_plural = pgettext_lazy("many", "兑换码")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["code"], name="coupon_code_once"),
            models.CheckConstraint(
                condition=Q(record__isnull=True, redeemed_at__isnull=True)
                | Q(record__isnull=False, redeemed_at__isnull=False, withdrawn_at__isnull=True),
                name="coupon_code_redeemed_has_its_coupon",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["batch"], name="coupon_code_batch")]

    def __str__(self) -> str:
        # Shown in logs and titles, where the whole code would let any reader redeem it.
        return f"{self.code[:4]}…"
