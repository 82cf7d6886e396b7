"""Password reset: Django's views and tokens with the shop's pages, mail and rate limits."""

from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods

from shop.client_address import client_address, client_network
from shop.domain.accounts import own_account, tokens
from shop.models import Account

log = structlog.get_logger(__name__)

# Django's form views treat PUT like POST, and one of them accepts any method.
_only_form_methods = method_decorator(
    require_http_methods(["GET", "HEAD", "OPTIONS", "POST"]), name="dispatch"
)


class BuyersResetForm(PasswordResetForm):
    """Only buyers can reset by mail, so that access to a staff member's mailbox doesn't give their rights."""

    def get_users(self, email: str) -> Any:
        return (user for user in super().get_users(email) if not user.is_staff)


@_only_form_methods
class ResetView(views.PasswordResetView):
    """Sends the mail. The response doesn't reveal whether an account has this address."""

    form_class = BuyersResetForm
    template_name = "storefront/password_reset.html"
    email_template_name = "storefront/password_reset_email.txt"
    subject_template_name = "storefront/password_reset_subject.txt"
    success_url = reverse_lazy("storefront:password-reset-done")
    extra_context = {"page": "login"}

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        log.info("password_reset_asked")
        # From the settings, since the request's Host header is under the client's control.
        self.extra_email_context = {"origin": settings.PUBLIC_URL}
        with own_account.counted_reset(
            email=form.cleaned_data["email"], address=client_network(client_address(self.request))
        ):
            return super().form_valid(form)


class ResetDoneView(views.PasswordResetDoneView):
    template_name = "storefront/password_reset_done.html"
    extra_context = {"page": "login"}


@_only_form_methods
class ResetConfirmView(views.PasswordResetConfirmView):
    """Sets the new password and revokes every login."""

    template_name = "storefront/password_reset_confirm.html"
    success_url = reverse_lazy("storefront:password-reset-complete")
    extra_context = {"page": "login"}

    def form_valid(self, form: Any) -> HttpResponse:
        account: Account = form.user
        with transaction.atomic():
            tokens.end_logins([account.pk])
            answer = super().form_valid(form)
        log.info("password_reset", account=account.pk)
        return answer


class ResetCompleteView(views.PasswordResetCompleteView):
    template_name = "storefront/password_reset_complete.html"
    extra_context = {"page": "login"}
