"""What the deeds about orders and money ask for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from shop.desk.deeds import MOST_TEXT, DeedForm
from shop.desk.display import yuan
from shop.models import OrderLine


class LineChoice(forms.CheckboxSelectMultiple):
    """Boxes for an order's courses.

    What it hands on are the courses' numbers with commas, as they may also be typed.
    """

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name, "")]
        return ",".join(str(value) for value in values if value)


class CourseNumbers(forms.CharField):
    """The numbers of courses, with commas."""

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
    """Shows the order's courses with what was paid for each."""
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
        label=_("理由"), max_length=MOST_TEXT, required=False, widget=UnfoldAdminTextInputWidget()
    )


def with_why(what: str) -> Callable[[Mapping[str, Any]], str]:
    """What the log says, in Chinese as all of it: the deed, and the reason if one was given."""

    def told(asked: Mapping[str, Any]) -> str:
        return f"{what}：{asked['why']}" if asked.get("why") else what

    return told
