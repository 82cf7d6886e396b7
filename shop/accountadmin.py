"""Accounts in the admin. Superusers make staff; other staff may look after buyers, if they are allowed to, and never raise anybody."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from shop.adminforms import EditedFields
from shop.domain import tokens
from shop.models import Account

if TYPE_CHECKING:
    AccountAdminBase = UserAdmin[Account]
    AccountFormBase = UserChangeForm[Account]
    PasswordFormBase = AdminPasswordChangeForm[Account]
else:  # Django's classes take no parameters at run time
    AccountAdminBase = UserAdmin
    AccountFormBase = UserChangeForm
    PasswordFormBase = AdminPasswordChangeForm

_BALANCE: Any = ("贝里", {"fields": ("balance", "held_balance"), "description": "贝里只随账目变动，不能直接修改。"})


class AccountForm(EditedFields, AccountFormBase):
    pass


class PasswordForm(PasswordFormBase):
    """Django's, and writes the password alone: a balance that changes meanwhile stays as it is."""

    def set_password_and_save(self, user: Account, **options: Any) -> Account:
        super().set_password_and_save(user, **{**options, "commit": False})  # type: ignore[misc] # newer than the stubs
        if options.get("commit", True):
            user.save(update_fields=["password"])
            # Django tells validators of new passwords, not of their absence.
            tokens.end_tokens([user.pk])
        return user


@admin.register(Account)
class AccountAdmin(AccountAdminBase):
    form = AccountForm
    list_display = ("username", "balance", "held_balance", "is_active", "is_staff", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("username", "email")
    readonly_fields = ("balance", "held_balance", "last_login", "date_joined")
    fieldsets = (
        *UserAdmin.fieldsets,  # type: ignore[misc] # the stubs allow None, the class has some
        _BALANCE,
    )
    # What staff who are no superusers see of a buyer; of it they may change names, address and 有效.
    buyers_fieldsets: ClassVar = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "is_active")}),
        ("时间", {"fields": ("last_login", "date_joined")}),
        _BALANCE,
    )
    change_password_form = PasswordForm
    actions: tuple[str, ...] = ("end_logins",)

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Accounts of staff, one's own among them, are superusers' business."""
        is_out_of_reach = obj is not None and (obj.is_staff or obj.is_superuser) and not _is_superuser(request)
        return not is_out_of_reach and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        # Orders and the ledger name their buyer for good; an account is closed by 有效 = no.
        return False

    def has_end_logins_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shop.end_logins")

    def get_fieldsets(self, request: HttpRequest, obj: Account | None = None) -> Any:
        if obj is None or _is_superuser(request):
            return super().get_fieldsets(request, obj)
        return self.buyers_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return self.readonly_fields if obj is None or _is_superuser(request) else (*self.readonly_fields, "username")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's signature
        """Whoever sets somebody's password can be them."""
        if not _is_superuser(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, obj: Account, form: "ModelForm[Account]", change: bool) -> None:
        """Whoever is disabled here loses their logins for good."""
        if change and "is_active" in form.changed_data and not obj.is_active:
            tokens.disable_accounts([obj.pk])
        super().save_model(request, obj, form, change)

    @admin.action(description="结束所选账户的所有登录", permissions=["end_logins"])
    def end_logins(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Staff's own logins are ended by superusers only."""
        reachable = queryset if _is_superuser(request) else queryset.filter(is_staff=False, is_superuser=False)
        accounts = list(reachable.order_by("pk"))
        count = tokens.end_logins([account.pk for account in accounts])
        assert isinstance(request.user, Account)  # the permission has been checked
        LogEntry.objects.log_actions(request.user.pk, accounts, CHANGE, "结束所有登录")
        self.message_user(request, f"已结束 {len(accounts)} 个账户的 {count} 个登录。", messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
