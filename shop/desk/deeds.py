"""What staff do to rows, all in the same way: a page shows the amounts and asks for a reason, one call into
the domain is made for each row, and a log entry is written.

A deed for a single row has its own page; for several rows it is an action of the list. Both run through
`perform`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from shop import clock
from shop.desk.display import address_of
from shop.desk.history import log_language
from shop.desk.readonly import AnyAdminBase, ReadOnlyAdmin
from shop.errors import DomainError
from shop.models import Account
from shop.request_id import KEY
from shop.wakeup import wake_soon

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Words
else:  # translated when it is rendered
    Words = str | Promise
MAX_TEXT = 200
# The most rows that one action accepts. Each row is a transaction of its own, and a request that took minutes
# would be submitted twice.
MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class Act:
    """Who performs a deed, when, and what they entered in its form."""

    staff: Account
    now: datetime
    cause: str
    data: Mapping[str, Any]

    @property
    def why(self) -> str:
        return str(self.data.get("why", ""))


class DeedForm(forms.Form):
    """What a deed asks for. `rows` are the rows that it applies to."""

    def __init__(self, *args: Any, rows: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows


_NO_REASON = gettext_lazy("请填写理由。")


def why_field(missing: Words = _NO_REASON) -> forms.CharField:
    """A required field for the reason."""
    return forms.CharField(
        label=gettext_lazy("理由"),
        max_length=MAX_TEXT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        error_messages={"required": missing},
        help_text=gettext_lazy("会写入时间线和操作记录。"),
    )


def text_field(
    label: Words, missing: Words, *, max_length: int = 64, help_text: Words = ""
) -> forms.CharField:
    """A required field for a short text."""
    return forms.CharField(
        label=label,
        max_length=max_length,
        widget=UnfoldAdminTextInputWidget(),
        error_messages={"required": missing},
        help_text=help_text,
    )


class WhyForm(DeedForm):
    why = why_field()


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that staff can do to a row of a table: one call into the domain."""

    name: str
    title: Words
    permission: str
    run: Callable[[Any, Act], object]
    form: type[DeedForm] = DeedForm
    # The text of the log entry, given the form's data; the deed's title if it is empty.
    log_text: Callable[[Mapping[str, Any]], str] = field(default=lambda data: "")
    # Whether the row's page offers the deed. The domain checks again.
    applies: Callable[[Any], bool] = field(default=lambda row: True)
    # What the confirmation page shows: pairs of label and value.
    facts: Callable[[Any], Sequence[tuple[str, Any]]] = field(default=lambda row: [])
    hint: Words = ""
    is_destructive: bool = False
    # Whether the list asks for confirmation even if the request doesn't set `ask`.
    always_confirms: bool = False
    # Whether the list offers the deed as an action, and if so, whether for one row at a time only.
    is_listed: bool = True
    is_single: bool = False
    # The task that picks up the work which the deed has made due.
    wakes: Any = None
    # The success message for one row, in place of the count of rows.
    success_text: Callable[[Any, object], str] | None = None


class AskingActionForm(ActionForm):  # type: ignore[misc] # django-unfold has no types
    """The form of a list's actions: its hidden field makes an action ask for confirmation first.

    A script that leaves it out acts at once, unless the deed `always_confirms`.
    """

    ask = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput())


class WithDeeds(AnyAdminBase):
    """A mixin for a table with deeds: buttons on a row's page, actions of the list."""

    change_form_before_template: str | None = "desk/deeds.html"
    deeds: ClassVar[tuple[Deed, ...]] = ()
    counted: ClassVar[Words] = gettext_lazy("行")
    action_form = AskingActionForm
    # Exceptions from outside the shop, such as a gateway's, that are shown to staff; see `describe_failure`.
    failures: ClassVar[tuple[type[Exception], ...]] = ()

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_deed"
        page = path("<int:pk>/deeds/<slug:name>/", self.admin_site.admin_view(self.deed_view), name=name)
        return [page, *super().get_urls()]

    def _get_base_actions(self) -> list[Any]:
        return [(self._listed(deed), deed.name, deed.title) for deed in self.deeds if deed.is_listed]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        allowed = {deed.name for deed in self.allowed_deeds(request)}
        return {name: (act, name, title) for act, name, title in self._get_base_actions() if name in allowed}

    def allowed_deeds(self, request: HttpRequest) -> list[Deed]:
        """The deeds that the user has permission for."""
        return [deed for deed in self.deeds if request.user.has_perm(deed.permission)]

    def offered_deeds(self, request: HttpRequest, row: Model) -> list[tuple[Deed, str]]:
        """The permitted deeds that apply to the row now, each with its URL."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_deed"
        return [
            (deed, reverse(name, args=[row.pk, deed.name]))
            for deed in self.allowed_deeds(request)
            if deed.applies(row)
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id.isdecimal() else None
        offered = self.offered_deeds(request, row) if row is not None else []
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "offered_deeds": offered}
        )

    def deed_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """The page on which staff confirm one deed for one row."""
        deed = next((one for one in self.deeds if one.name == name), None)
        row = self.get_object(request, str(pk))
        if deed is None or row is None:
            raise Http404
        if not self.has_view_permission(request, row) or not request.user.has_perm(deed.permission):
            raise PermissionDenied
        form = deed.form(request.POST if request.method == "POST" else None, rows=[row])
        if (
            request.method == "POST"
            and form.is_valid()
            and self.perform(request, [row], deed, form.cleaned_data)
        ):
            return HttpResponseRedirect(self._next(request, row))
        return self._ask(request, deed, form, [row])

    def perform(self, request: HttpRequest, rows: Iterable[Any], deed: Deed, data: Mapping[str, Any]) -> int:
        """Performs the deed on each row, one transaction per row; logs each success and shows each refusal.

        Returns the number of successes.
        """
        act = self.act(request, data)
        done = 0
        for row in rows:
            try:
                result = deed.run(row, act)
            except DomainError as refusal:
                self.message_user(
                    request, _("%(row)s：%(text)s") % {"row": row, "text": _(refusal.text)}, messages.ERROR
                )
                continue
            except self.failures as error:
                self.message_user(
                    request,
                    _("%(row)s：%(error)s") % {"row": row, "error": self.describe_failure(error)},
                    messages.ERROR,
                )
                continue
            done += 1
            with log_language():
                log_text = deed.log_text(data) or str(deed.title)
            # A deed may change the row's name.
            subject = result if isinstance(result, type(row)) else row
            LogEntry.objects.log_actions(act.staff.pk, [subject], CHANGE, log_text, single_object=True)
            if deed.success_text is not None:
                self.message_user(request, deed.success_text(row, result), messages.SUCCESS)
        if done and deed.success_text is None:
            self.message_user(
                request,
                _("已处理 %(done)s %(counted)s。") % {"done": done, "counted": self.counted},
                messages.SUCCESS,
            )
        if done and deed.wakes is not None:
            wake_soon(deed.wakes)
        return done

    def act(self, request: HttpRequest, data: Mapping[str, Any]) -> Act:
        """The acting staff member, the time, the cause for logs and events, and the form's data."""
        return Act(staff=staff_of(request), now=clock.database_now(), cause=cause_of(request), data=data)

    def describe_failure(self, error: Exception) -> str:
        """The text that staff read for one of `failures`."""
        return str(error)

    def _listed(self, deed: Deed) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
        def act(admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            return self._act_on_list(request, queryset, deed)

        act.__name__ = deed.name
        return act

    def _act_on_list(self, request: HttpRequest, queryset: QuerySet[Any], deed: Deed) -> HttpResponse | None:
        rows = list(queryset.order_by("pk")[: MAX_ROWS + 1])
        if len(rows) > (1 if deed.is_single else MAX_ROWS):
            said = _("请只选择一行。") if deed.is_single else _("一次最多处理 %d 行。") % MAX_ROWS
            self.message_user(request, said, messages.ERROR)
            return None
        if (request.POST.get("ask") or deed.always_confirms) and not request.POST.get("confirmed"):
            return self._ask(request, deed, deed.form(rows=rows), rows)
        form = deed.form(request.POST, rows=rows)
        if form.is_valid():
            self.perform(request, rows, deed, form.cleaned_data)
            return None
        first = next(iter(form.errors.values()))[0]
        self.message_user(request, str(first), messages.ERROR)
        return self._ask(request, deed, form, rows)

    def _ask(self, request: HttpRequest, deed: Deed, form: DeedForm, rows: Sequence[Any]) -> HttpResponse:
        listed = [] if request.resolver_match and request.resolver_match.kwargs.get("pk") else rows
        context = {
            **self.admin_site.each_context(request),
            "title": deed.title,
            "deed": deed,
            "form": form,
            "listed": listed,
            "facts": [(row, deed.facts(row)) for row in rows],
            "next": request.POST.get("next") or request.GET.get("next", ""),
            "back": self._next(request, rows[0]) if rows and not listed else request.get_full_path(),
            "opts": self.opts,
        }
        return TemplateResponse(request, "desk/deed.html", context)

    def _next(self, request: HttpRequest, row: Model) -> str:
        wanted = request.POST.get("next") or request.GET.get("next", "")
        is_ours = url_has_allowed_host_and_scheme(
            wanted, {request.get_host()}, require_https=request.is_secure()
        )
        return wanted if wanted and is_ours else address_of(row)


class DeedsAdmin(WithDeeds, ReadOnlyAdmin):
    """A read-only table with deeds."""


class UrgentFirst(DeedsAdmin):
    """A table whose `ordering` puts rows that need a person first.

    A filtered list is ordered by id, newest first: any other order would read every matching row.
    """

    def get_ordering(self, request: HttpRequest) -> Any:
        return ("-id",) if request.GET else super().get_ordering(request)


def staff_of(request: HttpRequest) -> Account:
    """The staff member who sent the request; the admin has authenticated them."""
    assert isinstance(request.user, Account)
    return request.user


def cause_of(request: HttpRequest) -> str:
    """The request's id in the form in which events and logs carry it."""
    return f"request:{request.META[KEY]}"
