"""Accounts in the admin.

Only superusers create staff or grant rights. Other staff may edit buyers if they have the permission.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from shop.adminforms import EditedFields, WithPermissions
from shop.desk.history import LoggedChanges
from shop.desk.readonly import BoundedPaginator, IndexedSearch
from shop.domain.accounts import tokens
from shop.models import Account

if TYPE_CHECKING:
    from django.contrib.auth import forms

    AccountAdminBase = UserAdmin[Account]
    AccountFormBase = forms.UserChangeForm[Account]
    PasswordFormBase = forms.AdminPasswordChangeForm[Account]
else:  # Django's classes take no parameters at run time

    class AccountAdminBase(UserAdmin, ModelAdmin):
        """Django's admin with django-unfold's appearance."""

    AccountFormBase, PasswordFormBase = UserChangeForm, AdminPasswordChangeForm

_BALANCE: Any = (
    _("贝里"),
    {"fields": ("balance", "held_balance"), "description": _("贝里只随账目变动，不能直接修改。")},
)


class AccountForm(EditedFields, AccountFormBase):
    pass


class PasswordForm(PasswordFormBase):
    """Django's form, writing only the password: a balance that has changed meanwhile isn't overwritten."""

    def set_password_and_save(self, user: Account, **options: Any) -> Account:
        super().set_password_and_save(user, **{**options, "commit": False})  # type: ignore[misc] # newer than the stubs
        if options.get("commit", True):
            user.save(update_fields=["password"])
            # Django notifies password validators (`EndTokens`) of a new password, but not of a disabled one.
            tokens.end_tokens([user.pk])
        return user


@admin.register(Account)
class AccountAdmin(WithPermissions, LoggedChanges, IndexedSearch, AccountAdminBase):
    form = AccountForm
    add_form = UserCreationForm
    list_display = (
        "shown_state",
        "username",
        "balance",
        "held_balance",
        "email",
        "phone",
        "is_staff",
        "date_joined",
    )
    list_display_links = ("username",)
    list_filter = ("is_staff", "is_active")
    # Only searches that an index serves; the desk's own search finds more.
    search_fields = ("username__startswith", "email__istartswith", "phone__startswith")
    ordering = ("-id",)
    readonly_fields = ("balance", "held_balance", "last_login", "date_joined")
    fieldsets = (
        *UserAdmin.fieldsets,  # type: ignore[misc] # the stubs allow None, the class has some
        _BALANCE,
    )
    # What staff other than superusers see of a buyer. They may change names, contact details and 有效.
    buyers_fieldsets: ClassVar = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "phone", "is_active")}),
        (_("时间"), {"fields": ("last_login", "date_joined")}),
        _BALANCE,
    )
    change_password_form = PasswordForm
    list_fullwidth = True
    # Plain select boxes: they fit on a phone and work without a mouse.
    filter_horizontal = ()
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Only superusers change staff accounts; staff don't change their own either."""
        is_out_of_reach = (
            obj is not None and (obj.is_staff or obj.is_superuser) and not _is_superuser(request)
        )
        return not is_out_of_reach and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        # Orders and the ledger refer to their buyer for ever. To close an account, staff clear 有效.
        return False

    @display(description=_("状态"), label={"active": "success", "closed": "danger"})
    def shown_state(self, account: Account) -> tuple[str, Any]:
        return ("active", _("有效")) if account.is_active else ("closed", _("停用"))

    def get_fieldsets(self, request: HttpRequest, obj: Account | None = None) -> Any:
        if obj is None or _is_superuser(request):
            return super().get_fieldsets(request, obj)
        return self.buyers_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return (
            self.readonly_fields
            if obj is None or _is_superuser(request)
            else (*self.readonly_fields, "username")
        )

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's signature
        """Only for superusers: setting a password allows logging in as that account."""
        if not _is_superuser(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def save_model(
        self, request: HttpRequest, obj: Account, form: "ModelForm[Account]", change: bool
    ) -> None:
        """Disabling an account also revokes its tokens and sessions, so enabling it again doesn't restore
        them.
        """
        if change and "is_active" in form.changed_data and not obj.is_active:
            tokens.disable_accounts([obj.pk])
        super().save_model(request, obj, form, change)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
