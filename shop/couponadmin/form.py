"""The form of a campaign."""

from typing import Any

from django import forms
from django.utils.translation import gettext

from shop.adminforms import EditedFields
from shop.models import Course
from shop.states import SELLABLE_COURSE_TYPES, CouponType


class CouponForm(EditedFields):
    """Explains each violated rule beside the field that violates it, before the database's constraints do."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        self._say_terms(cleaned)
        self._say_dates(cleaned)
        return cleaned

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        claimed = self.instance.claimed_count
        if quantity < claimed:
            raise forms.ValidationError(
                gettext("已领取 %(claimed_count)s 张，数量不能更少。") % {"claimed_count": claimed}
            )
        return quantity

    def clean_course(self) -> Course | None:
        course: Course | None = self.cleaned_data["course"]
        if course is not None and course.course_type not in SELLABLE_COURSE_TYPES:
            raise forms.ValidationError(gettext("VIP专享课程不单独出售，它的优惠券没有用处。"))
        return course

    def _say_terms(self, cleaned: dict[str, Any]) -> None:
        kind, value, percent = (
            cleaned.get("coupon_type"),
            cleaned.get("money_equivalent_value"),
            cleaned.get("off_percent"),
        )
        minimum, scope, course = cleaned.get("minimum_consume"), cleaned.get("scope"), cleaned.get("course")
        if "coupon_type" in self.fields and kind is not None:
            is_percent, is_threshold = kind == CouponType.PERCENT, kind == CouponType.THRESHOLD
            self._say(
                "money_equivalent_value", is_percent and bool(value), gettext("折扣券不填减免金额，请填 0。")
            )
            self._say(
                "money_equivalent_value",
                not is_percent and value is not None and value <= 0,
                gettext("请填写减免金额，须大于 0。"),
            )
            self._say(
                "off_percent",
                is_percent and (percent is None or not 1 <= percent <= 99),
                gettext("请填写 1 到 99：7.9 折写 79。"),
            )
            self._say(
                "off_percent", not is_percent and percent is not None, gettext("只有折扣券填写折扣，请留空。")
            )
            self._say(
                "minimum_consume",
                is_threshold and minimum is not None and minimum <= 0,
                gettext("满减券请填写满多少可用。"),
            )
            self._say(
                "minimum_consume",
                not is_threshold and bool(minimum),
                gettext("只有满减券填写满多少可用，请填 0。"),
            )
        if "scope" in self.fields and scope:
            self._say(
                "course",
                scope == "course" and course is None and "course" not in self.errors,
                gettext("请选择课程。"),
            )
            self._say(
                "course",
                scope != "course" and course is not None,
                gettext("只有“指定课程”的券选择课程，请留空。"),
            )

    def _say_dates(self, cleaned: dict[str, Any]) -> None:
        opens, closes = cleaned.get("open_date"), cleaned.get("close_date")
        begins, ends, days = (
            cleaned.get("valid_begin_date"),
            cleaned.get("valid_end_date"),
            cleaned.get("coupon_valid_days"),
        )
        self._say(
            "close_date", bool(opens and closes and closes < opens), gettext("结束日期不能早于开始日期。")
        )
        self._say(
            "valid_end_date", bool(begins and ends and ends < begins), gettext("结束日期不能早于开始日期。")
        )
        self._say("valid_end_date", bool(begins) and not ends, gettext("有开始日期就要有结束日期。"))
        self._say("valid_begin_date", bool(ends) and not begins, gettext("有结束日期就要有开始日期。"))
        is_endless = not (
            begins
            or ends
            or days
            or {"valid_begin_date", "valid_end_date", "coupon_valid_days"} & set(self.errors)
        )
        self._say("coupon_valid_days", is_endless, gettext("请填写有效期的起止日期，或领取后有效天数。"))
        self._say("coupon_valid_days", days == 0, gettext("天数须大于 0，或留空。"))

    def _say(self, name: str, is_wrong: bool, text: str) -> None:
        if is_wrong and name in self.fields and name not in self.errors:
            self.add_error(name, text)
