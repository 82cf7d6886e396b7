from datetime import date, timedelta
from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.base import SavesChanges
from shop.models.fields import YuanField, names_of, not_negative
from shop.money import MAX_PAYABLE
from shop.states import SELLABLE_COURSE_TYPES, CourseStatus, CourseType

# The latest start date of a course, so that the end of access is still a valid date everywhere.
LAST_START = date(2099, 12, 31)


class Category(SavesChanges):
    """A category of courses."""

    name = models.CharField(_("名称"), max_length=32)
    brief = models.CharField(_("简介"), max_length=255, blank=True, default="")
    position = models.PositiveIntegerField(_("排序"), default=0, help_text=_("小的在前"))

    class Meta:
        verbose_name = pgettext_lazy("one", "课程分类")
        verbose_name_plural = pgettext_lazy("many", "课程分类")
        ordering: ClassVar = ["position", "id"]
        # With unique=True Django would create a second index, for searches by prefix.
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="category_name_once")]

    def __str__(self) -> str:
        return self.name


class Course(SavesChanges):
    """Anything in the catalogue: a course, a degree with its start date, a course for members only, or a
    membership.
    """

    name = models.CharField(_("课程名称"), max_length=128, unique=True)
    course_img = models.CharField(_("封面"), max_length=255, help_text=_("图片地址"))
    brief = models.TextField(_("简介"), max_length=2048, blank=True, default="")
    syllabus = models.TextField(
        _("课程大纲"),
        max_length=20_000,
        blank=True,
        default="",
        db_default="",
        help_text=_("一行一节；以 # 开头的行是章的标题"),
    )
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, related_name="courses", verbose_name=_("分类")
    )
    course_type = models.SmallIntegerField(
        _("课程类型"),
        choices=names_of(CourseType),
        default=CourseType.PAID,
        help_text=_("VIP专享课程不单独定价，向所有持有VIP会员的买家开放；VIP会员像课程一样定价和出售"),
    )
    starts_on = models.DateField(
        _("开课日期"),
        null=True,
        blank=True,
        help_text=_("仅学位课程：此前购买的，有效期从这一天算起；留空为随时开课"),
    )
    status = models.SmallIntegerField(
        _("状态"),
        choices=names_of(CourseStatus),
        default=CourseStatus.PRESALE,
        help_text=_("预上线和下线的课程，买家都看不到"),
    )
    position = models.PositiveIntegerField(_("排序"), default=0, help_text=_("小的在前"))
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "课程")
        verbose_name_plural = pgettext_lazy("many", "课程")
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=CourseStatus.values), name="course_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(course_type__in=CourseType.values), name="course_type_known"
            ),
            models.CheckConstraint(
                condition=models.Q(starts_on__isnull=True)
                | models.Q(course_type=CourseType.DEGREE, starts_on__lte=LAST_START),
                name="course_start_is_a_degrees",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_public(self) -> bool:
        """Whether everybody may see it."""
        return self.status == CourseStatus.ONLINE

    @property
    def is_sellable(self) -> bool:
        """Whether a buyer may put it in the cart and order it now."""
        return self.is_public and self.course_type in SELLABLE_COURSE_TYPES


class PricePolicy(SavesChanges):
    """One price of a course, for access during `valid_period` days.

    An edit applies to future orders only.
    """

    class Period(models.IntegerChoices):
        """Days of access.

        A month is always 30 days.
        """

        DAY_1 = 1, "1天"
        DAY_3 = 3, "3天"
        WEEK_1 = 7, "1周"
        WEEK_2 = 14, "2周"
        MONTH_1 = 30, "1个月"
        MONTH_2 = 60, "2个月"
        MONTH_3 = 90, "3个月"
        MONTH_6 = 180, "6个月"
        MONTH_12 = 360, "12个月"
        MONTH_18 = 540, "18个月"
        MONTH_24 = 720, "24个月"

    course = models.ForeignKey(
        Course, models.PROTECT, related_name="price_policies", verbose_name=pgettext_lazy("one", "课程")
    )
    valid_period = models.SmallIntegerField(_("有效期"), choices=names_of(Period))
    price = YuanField(
        _("价格（元）"),
        validators=[MaxValueValidator(MAX_PAYABLE, _("价格不能超过支付宝单笔上限 %(limit_value)s 元。"))],
    )

    class Meta:
        verbose_name = pgettext_lazy("one", "价格方案")
        verbose_name_plural = pgettext_lazy("many", "价格方案")
        ordering: ClassVar = ["valid_period"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["course", "valid_period"], name="price_policy_one_per_period"),
            models.CheckConstraint(
                condition=models.Q(valid_period__in=[1, 3, 7, 14, 30, 60, 90, 180, 360, 540, 720]),
                name="price_policy_period_known",
            ),
            not_negative("price", name="price_policy_price_not_negative"),
            models.CheckConstraint(
                condition=models.Q(price__lte=MAX_PAYABLE), name="price_policy_price_payable"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_valid_period_display()} ¥{self.price}"

    @property
    def duration(self) -> timedelta:
        """How long access lasts. A day is 24 hours."""
        return timedelta(days=self.valid_period)
