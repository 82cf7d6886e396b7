"""Accounts in the admin, with the deed that needs to know of payments: erasing who a buyer is."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from payments.domain.personal_data import anonymise_account
from shop import clock
from shop.accountadmin import AccountAdmin
from shop.errors import DomainError
from shop.models import Account

admin.site.unregister(Account)


@admin.register(Account)
class BuyerAdmin(AccountAdmin):
    actions = ("end_logins", "anonymise")

    def has_anonymise_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shop.anonymise_account")

    @admin.action(description="抹除所选买家的个人信息（不可恢复）", permissions=["anonymise"])
    def anonymise(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse | None:
        """Asks once more first: nobody can take it back."""
        accounts = list(queryset.order_by("pk"))
        if request.POST.get("confirmed") != "yes":
            context: dict[str, Any] = {**self.admin_site.each_context(request), "accounts": accounts, "title": "抹除个人信息"}
            return TemplateResponse(request, "admin/shop/account/anonymise.html", context)
        for account in accounts:
            try:
                erased = anonymise_account(account.pk, now=clock.now())
            except DomainError as refusal:
                self.message_user(request, f"{account}：{refusal.text}", messages.ERROR)
                continue
            assert isinstance(request.user, Account)  # the permission has been checked
            LogEntry.objects.log_actions(request.user.pk, [erased], CHANGE, "抹除个人信息", single_object=True)
            self.message_user(request, f"已抹除：{erased}。", messages.SUCCESS)
        return None
