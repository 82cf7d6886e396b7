"""Log entries for edits with the old and the new values, so that the history of a price can be read."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest
from django.utils import translation

if TYPE_CHECKING:
    from django.contrib import admin

    AnyAdminBase = admin.ModelAdmin[Any]
else:
    AnyAdminBase = object

_MAX_TEXT = 60


def log_language() -> translation.override:
    """Activates the language of log entries: one for all users, since all staff read them, for years."""
    return translation.override(settings.LANGUAGE_CODE)


class LoggedChanges(AnyAdminBase):
    """A mixin for tables that are edited: the log entry of each edit shows old and new values."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        with log_language():
            lines = ["新建" if add else "", *_changes(form, is_new=add)]
            for formset in formsets or []:
                lines += _changes_of_rows(formset)
        return "；".join(line for line in lines if line) or "保存，没有改动"


def _changes(form: "ModelForm[Any]", *, is_new: bool, of: str = "") -> list[str]:
    lines = []
    for name in form.changed_data:
        if name not in form.cleaned_data:
            continue
        before, after = (
            _shown(form, name, form.initial.get(name)),
            _shown(form, name, form.cleaned_data[name]),
        )
        label = f"{of}{form.fields[name].label or name}"
        if is_new:
            lines += [f"{label}：{after}"]
        elif before != after:
            lines += [f"{label}：{before} → {after}"]
    return lines


def _changes_of_rows(formset: "BaseModelFormSet[Any, Any]") -> list[str]:
    lines = []
    new, deleted = {id(row) for row in formset.new_objects}, {row.pk for row in formset.deleted_objects}
    for form in formset.forms:
        row = form.instance
        name = f"{row._meta.verbose_name}「{row}」"
        if id(row) in new:
            lines.append(f"新增{name}")
        elif form in formset.deleted_forms or (row.pk is None and deleted):
            lines.append(f"删除{name}")
        elif form.has_changed():
            lines += _changes(form, is_new=False, of=f"{name}")
    return lines


def _shown(form: "ModelForm[Any]", name: str, value: Any) -> str:
    """A value as text for people: a choice by its label, 是 or 否 for a boolean, （空） for nothing."""
    choices = (
        dict(getattr(form.fields[name], "choices", ()) or ())
        if not hasattr(form.fields[name], "queryset")
        else {}
    )
    for key, label in choices.items():
        if str(key) == str(value):
            return str(label)
    if value is None or value == "":
        return "（空）"
    if value is True or value is False:
        return "是" if value else "否"
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
