"""Form fields of the deeds on orders and money."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from shop.desk.deeds import MAX_TEXT, DeedForm
from shop.desk.display import yuan
from shop.models import OrderLine


class LineChoice(forms.CheckboxSelectMultiple):
    """Checkboxes for an order's courses. The value is the courses' ids separated by commas, which a script
    can also send as text.
    """

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name, "")]
        return ",".join(str(value) for value in values if value)


class CourseNumbers(forms.CharField):
    """The ids of courses, separated by commas."""

    def clean(self, value: Any) -> Any:
        numbers = [number.strip() for number in (value or "").replace("，", ",").split(",") if number.strip()]
        if not numbers or not all(
            number.isascii() and number.isdecimal() and len(number) < 19 for number in numbers
        ):
            raise forms.ValidationError(gettext("请填写课程编号，用逗号分隔。"))
        return numbers


def courses_field() -> CourseNumbers:
    return CourseNumbers(label=pgettext_lazy("one", "课程"), widget=LineChoice())


def offer_lines(field: forms.Field, lines: Sequence[OrderLine]) -> None:
    """Offers the order's courses, each with the amount paid for it."""
    widget: Any = field.widget
    widget.choices = [
        (
            line.course_id,
            gettext("%(line)s：%(cash_amount)s，贝里抵扣 %(beili_amount)s")
            % {"line": line, "cash_amount": yuan(line.cash_amount), "beili_amount": yuan(line.beili_amount)},
        )
        for line in lines
    ]


class OptionalWhyForm(DeedForm):
    why = forms.CharField(
        label=_("理由"), max_length=MAX_TEXT, required=False, widget=UnfoldAdminTextInputWidget()
    )


def with_why(what: str) -> Callable[[Mapping[str, Any]], str]:
    """A `Deed.log_text`: what was done, and the reason if one was given.

    `what` is in Chinese, like the rest of the log.
    """

    def log_text(data: Mapping[str, Any]) -> str:
        return f"{what}：{data['why']}" if data.get("why") else what

    return log_text
