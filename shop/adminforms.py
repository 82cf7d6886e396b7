"""Base classes of the admin's forms."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib import admin

    AnyAdminBase = admin.ModelAdmin[Any]
    AnyFormBase = forms.ModelForm[Any]
    PermissionChoiceBase = forms.ModelMultipleChoiceField[Permission]
else:  # Django's classes take no parameters at run time
    AnyAdminBase, AnyFormBase, PermissionChoiceBase = object, forms.ModelForm, forms.ModelMultipleChoiceField


class EditedFields(AnyFormBase):
    """A form that writes only the fields that were edited in it: each field is submitted together with the
    value that was shown.

    A change that somebody else made since the page was opened is kept, unless this form edits the same field.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # Without the shown values (a script's request), every field that differs from the row counts as
            # edited.
            field.show_hidden_initial = not field.disabled and (
                not self.is_bound or self.add_initial_prefix(name) in self.data
            )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk is not None:
            for name in set(self.cleaned_data) - set(self.changed_data):
                if self.fields[name].show_hidden_initial:
                    self.cleaned_data[name] = self.fields[name].clean(self.initial.get(name))
        return cleaned

    def validate_constraints(self) -> None:
        """Explains violated constraints in words, unless a field has an error already."""
        if self.errors:
            return
        try:
            self.instance.validate_constraints(exclude=self._get_validation_exclusions())  # type: ignore[attr-defined] # not in the stubs
        except ValidationError as error:
            self.add_error(None, sorted({_in_words(message) for message in error.messages}))


class PermissionChoice(PermissionChoiceBase):
    """Permissions with translated names: the table holds the Chinese names from when they were created."""

    def label_from_instance(self, obj: Any) -> str:
        name, model = gettext(obj.name), obj.content_type.model_class()
        if model is not None:
            name = name.replace(model._meta.verbose_name_raw, str(model._meta.verbose_name))
        return f"{obj.content_type} | {name}"


class WithPermissions(AnyAdminBase):
    """A mixin for forms that grant permissions."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = PermissionChoice
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class RowFields(EditedFields):
    """The same form as a row of a table, where fields have no label: each gets an `aria-label` instead."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("aria-label", str(field.label or ""))


# The constraints of the tables that the admin edits; a test compares the names. Most violations are caught by
# a form's field first.
CONSTRAINTS_IN_WORDS = {
    "course_status_known": _("没有这种课程状态。"),
    "course_type_known": _("没有这种课程类型。"),
    "course_start_is_a_degrees": _("只有学位课程有开课日期。"),
    "price_policy_period_known": _("没有这种有效期。"),
    "price_policy_price_not_negative": _("价格不能是负数。"),
    "price_policy_price_payable": _("价格超过支付宝单笔上限。"),
    "coupon_type_has_its_fields": _("优惠类型与所填的金额、折扣或门槛不符。"),
    "coupon_scope_matches_course": _("适用范围与所选的课程不符。"),
    "coupon_claims_within_quantity": _("数量不能少于已领取的张数。"),
    "coupon_claim_window_in_order": _("领取结束日期不能早于开始日期。"),
    "coupon_validity_defined": _("请填写有效期的起止日期，或领取后有效天数。"),
    "coupon_valid_days_positive": _("领取后有效天数须大于 0。"),
    "coupon_valid_days_bounded": _("领取后有效天数太大。"),
    "coupon_amounts_not_negative": _("金额不能是负数。"),
    "account_balances_not_negative": _("贝里不能是负数。"),
}


def _in_words(message: str) -> str:
    return next((str(text) for name, text in CONSTRAINTS_IN_WORDS.items() if name in message), message)
