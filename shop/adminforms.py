"""What the admin's forms share."""

from typing import TYPE_CHECKING, Any

from django import forms

if TYPE_CHECKING:
    AnyFormBase = forms.ModelForm[Any]
else:  # Django's class takes no parameters at run time
    AnyFormBase = forms.ModelForm


class EditedFields(AnyFormBase):
    """A form that changes only what was edited in it: each field travels with the value that was shown beside it.

    What somebody else has changed since the page was opened stays, unless the same field was edited here, too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # Whoever sends no such values (a script) edits whatever differs from the row.
            field.show_hidden_initial = not field.disabled and (not self.is_bound or self.add_initial_prefix(name) in self.data)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk is not None:
            for name in set(self.cleaned_data) - set(self.changed_data):
                if self.fields[name].show_hidden_initial:
                    self.cleaned_data[name] = self.fields[name].clean(self.initial.get(name))
        return cleaned
