"""The forms of staff's deeds for buyers."""

import secrets
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from shop.desk.deeds import DeedForm, why_field
from shop.domain.coupons import coupons
from shop.domain.enrolments import MAX_ACCESS_DAYS
from shop.models import Coupon, Course
from shop.texts import describe_coupon

MAX_BEILI = 10_000_000


class OnceForm(DeedForm):
    """A form whose deed is done once, even if it is submitted twice."""

    token = forms.CharField(max_length=32, widget=forms.HiddenInput(), initial=lambda: secrets.token_hex(8))


class BeiliForm(OnceForm):
    amount = forms.IntegerField(
        label=_("贝里数量"),
        min_value=-MAX_BEILI,
        max_value=MAX_BEILI,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=_("正数为发放，负数为扣除，例如 100 或 -100。"),
    )
    why = why_field()

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError(gettext("请填写不为 0 的数量。"))
        return amount


class CouponChoice(forms.ModelChoiceField):  # type: ignore[type-arg] # takes no parameter at run time
    def label_from_instance(self, obj: Any) -> str:
        told = {
            "name": obj.name,
            "terms": describe_coupon(coupons.terms_of(obj), translate=gettext),
            "count": obj.quantity - obj.claimed_count,
        }
        return gettext("%(name)s：%(terms)s（还剩 %(count)s 张）") % told


class GiveForm(DeedForm):
    coupon = CouponChoice(
        label=pgettext_lazy("one", "优惠券活动"),
        queryset=Coupon.objects.none(),
        widget=UnfoldAdminSelectWidget(),
    )
    why = why_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["coupon"]
        # Only the newest campaigns, so that the list stays short.
        newest = list(Coupon.objects.order_by("-id").values_list("pk", flat=True)[:200])
        choice.queryset = Coupon.objects.filter(pk__in=newest).order_by("-id")


class DaysForm(OnceForm):
    days = forms.IntegerField(
        label=_("天数"), min_value=1, max_value=MAX_ACCESS_DAYS, widget=UnfoldAdminIntegerFieldWidget()
    )
    why = why_field()


class GrantForm(DaysForm):
    course = forms.ModelChoiceField(
        label=pgettext_lazy("one", "课程"),
        queryset=Course.objects.order_by("position", "id"),
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("course", "days", "why")


class AnonymiseForm(DeedForm):
    """Asks for confirmation only."""
