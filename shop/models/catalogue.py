from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models

from shop.models.base import SavesChanges
from shop.models.fields import YuanField, not_negative
from shop.money import MAX_PAYABLE
from shop.states import SELLABLE_COURSE_TYPES, CourseStatus, CourseType


class Course(SavesChanges):
    name = models.CharField("课程名称", max_length=128, unique=True)
    course_img = models.CharField("封面", max_length=255, help_text="图片地址")
    brief = models.TextField("简介", max_length=2048, blank=True, default="")
    course_type = models.SmallIntegerField("课程类型", choices=CourseType, default=CourseType.PAID)
    status = models.SmallIntegerField("状态", choices=CourseStatus, default=CourseStatus.PRESALE)
    position = models.PositiveIntegerField("排序", default=0, help_text="小的在前")
    created_at = models.DateTimeField("创建时间", auto_now_add=True)

    class Meta:
        verbose_name = "课程"
        verbose_name_plural = "课程"
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(status__in=CourseStatus.values), name="course_status_known"),
            models.CheckConstraint(condition=models.Q(course_type__in=CourseType.values), name="course_type_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_sellable(self) -> bool:
        """Whether a buyer may put it in the cart and order it now."""
        return self.status == CourseStatus.ONLINE and self.course_type in SELLABLE_COURSE_TYPES


class PricePolicy(SavesChanges):
    """One price of a course, for access during `valid_period` days. An edit is a new price for orders to come."""

    class Period(models.IntegerChoices):
        """Days of access. A month is 30 days throughout; the original stored 12个月 as 210 days, which is mended here."""

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

    course = models.ForeignKey(Course, models.PROTECT, related_name="price_policies", verbose_name="课程")
    valid_period = models.SmallIntegerField("有效期", choices=Period)
    price = YuanField("价格（元）", validators=[MaxValueValidator(MAX_PAYABLE, "价格不能超过支付宝单笔上限 %(limit_value)s 元。")])

    class Meta:
        verbose_name = "价格方案"
        verbose_name_plural = "价格方案"
        ordering: ClassVar = ["valid_period"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["course", "valid_period"], name="price_policy_one_per_period"),
            models.CheckConstraint(
                condition=models.Q(valid_period__in=[1, 3, 7, 14, 30, 60, 90, 180, 360, 540, 720]), name="price_policy_period_known"
            ),
            not_negative("price", name="price_policy_price_not_negative"),
            models.CheckConstraint(condition=models.Q(price__lte=MAX_PAYABLE), name="price_policy_price_payable"),
        ]

    def __str__(self) -> str:
        return f"{self.get_valid_period_display()} ¥{self.price}"
