"""Accounts in the admin.

Superusers make staff; other staff may look after buyers, if they are allowed to, and never raise anybody.
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
from shop.desk.history import ToldChanges
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
        """Django's, as django-unfold shows it."""

    AccountFormBase, PasswordFormBase = UserChangeForm, AdminPasswordChangeForm

_BALANCE: Any = (
    _("贝里"),
    {"fields": ("balance", "held_balance"), "description": _("贝里只随账目变动，不能直接修改。")},
)


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
class AccountAdmin(WithPermissions, ToldChanges, IndexedSearch, AccountAdminBase):
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
    # What an index answers; the search of the desk finds more.
    search_fields = ("username__startswith", "email__istartswith", "phone__startswith")
    ordering = ("-id",)
    readonly_fields = ("balance", "held_balance", "last_login", "date_joined")
    fieldsets = (
        *UserAdmin.fieldsets,  # type: ignore[misc] # the stubs allow None, the class has some
        _BALANCE,
    )
    # What staff who are no superusers see of a buyer; of it they may change names, address and 有效.
    buyers_fieldsets: ClassVar = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "phone", "is_active")}),
        (_("时间"), {"fields": ("last_login", "date_joined")}),
        _BALANCE,
    )
    change_password_form = PasswordForm
    list_fullwidth = True
    # Plain lists of choices: they fit a phone, and can be used without a mouse.
    filter_horizontal = ()
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Accounts of staff, one's own among them, are superusers' business."""
        is_out_of_reach = (
            obj is not None and (obj.is_staff or obj.is_superuser) and not _is_superuser(request)
        )
        return not is_out_of_reach and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        # Orders and the ledger name their buyer for good; an account is closed by 有效 = no.
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
        """Whoever sets somebody's password can be them."""
        if not _is_superuser(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def save_model(
        self, request: HttpRequest, obj: Account, form: "ModelForm[Account]", change: bool
    ) -> None:
        """Whoever is disabled here loses their logins for good."""
        if change and "is_active" in form.changed_data and not obj.is_active:
            tokens.disable_accounts([obj.pk])
        super().save_model(request, obj, form, change)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
