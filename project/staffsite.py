"""The admin's login: staff log in under the same limits as buyers, with a second factor if the shop demands
one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_otp import devices_for_user
from django_otp.forms import OTPAuthenticationFormMixin
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite
from unfold.widgets import UnfoldAdminTextInputWidget

from payments.desk.dashboard import dashboard_context, days_context
from payments.desk.exports import export_view
from payments.desk.search import find
from shop import clock
from shop.api.devicecookie import device_note, remember_device
from shop.client_address import client_address, client_network
from shop.desk.display import address_of
from shop.domain.accounts.login import log_in
from shop.errors import LoginFailed
from shop.models import Account

log = structlog.get_logger(__name__)
View = Callable[..., HttpResponseBase]


class StaffLoginForm(AuthenticationForm):  # type: ignore[misc] # django-unfold has no types
    """Django's form with the shop's own check of the password.

    A refusal by a rate limit is answered as everywhere else.
    """

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username is not None and password:
            assert self.request is not None
            try:
                self.user_cache = log_in(
                    username=username,
                    password=password,
                    address=client_network(client_address(self.request)),
                    device_note=device_note(self.request),
                    is_for_staff=True,
                )
            except LoginFailed as error:
                raise self.get_invalid_login_error() from error
        cleaned: dict[str, Any] = self.cleaned_data
        return cleaned


class StaffTotpForm(OTPAuthenticationFormMixin, StaffLoginForm):  # type: ignore[misc] # django-otp has no types
    """The same with a code from an authenticator app. `manage.py staff_totp` enrols one."""

    otp_token = forms.CharField(
        label=_("动态验证码"),
        max_length=8,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        try:
            self.clean_otp(self.get_user())
        except forms.ValidationError:
            log.warning(
                "second_factor_failed",
                account=self.get_user().pk,
                address=client_network(client_address(self.request)),
            )
            raise
        return cleaned

    def _chosen_device(self, user: Account) -> Any:
        """Staff have one device."""
        return next(devices_for_user(user, confirmed=True, for_verify=True), None)

    def _update_form(self, user: Account) -> None:
        """There is no list of devices to fill in."""


def _refusing_bad_input(view: View) -> View:
    """Answers 400 where Django's admin lets a value from the URL or from a list's checkboxes fail in the
    database layer.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not all(one.isdecimal() for one in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("a selected row has no number")
        try:
            return view(request, *args, **kwargs)
        except (ValueError, OverflowError, DataError) as error:
            if not request.GET or request.method != "GET":
                raise
            log.warning("desk_query_refused", path=request.path, exc_info=True)
            raise BadRequest("a filter has a value that its column can't have") from error

    return inner


class StaffSite(UnfoldAdminSite):  # type: ignore[misc] # django-unfold has no types
    """Django's admin, as django-unfold shows it. With `STAFF_TOTP` a password alone opens nothing."""

    @property
    def login_form(self) -> type[AdminAuthenticationForm]:
        return StaffTotpForm if settings.STAFF_TOTP else StaffLoginForm

    @property
    def login_template(self) -> str | None:
        return "admin/totp_login.html" if settings.STAFF_TOTP else None

    def extra_urls(self) -> list[URLPattern]:
        """Pages of the desk that belong to no table."""
        return [
            path("exports/", self.admin_view(lambda request: export_view(request, self)), name="exports"),
            path("days/", self.admin_view(self.days), name="days"),
        ]

    def admin_view(
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        guarded: Callable[..., HttpResponseBase] = super().admin_view(_refusing_bad_input(view), cacheable)
        return guarded

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.index_template = "desk/dashboard.html"
        answer: HttpResponse = super().index(
            request, {**dashboard_context(request, now=clock.now()), **(extra_context or {})}
        )
        return answer

    def days(self, request: HttpRequest) -> HttpResponse:
        """The part of the dashboard that counts days."""
        if not request.user.has_perm("shop.view_order"):
            raise PermissionDenied
        return TemplateResponse(request, "desk/days.html", days_context(now=clock.now()))

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Finds orders and buyers by whatever an operator has at hand.

        A whole number redirects to its order.
        """
        if not request.user.has_perm("shop.view_order"):
            raise PermissionDenied
        text = request.GET.get("q", "")
        found = find(text)
        if found.is_exact:
            return HttpResponseRedirect(address_of(found.orders[0][0]))
        context = {**self.each_context(request), "title": gettext("查找"), "q": text, "found": found}
        return TemplateResponse(request, "desk/search.html", context)

    def has_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return super().has_permission(request) and (not settings.STAFF_TOTP or user.is_verified())

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        account = request.user.pk
        response: HttpResponse = super().logout(request, extra_context)
        log.info("logged_out", account=account, is_for_staff=True)
        return response

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if "HX-Request" in request.headers:
            # htmx fetched a part of a page after the session had ended. Reloading the whole page leads to the
            # login.
            return HttpResponse(headers={"HX-Refresh": "true"})
        response: HttpResponse = super().login(request, extra_context)
        if request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
            remember_device(response, request, username=request.user.get_username())
        return response
