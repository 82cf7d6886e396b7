"""Only superusers decide who is staff: nobody else can raise their own rights or those of others."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin

from shop.adminforms import WithPermissions

# A second factor is its owner's secret; `manage.py staff_totp` creates one.
admin.site.unregister(TOTPDevice)
admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(WithPermissions, GroupAdmin, ModelAdmin):  # type: ignore[misc] # django-unfold has no types
    """Roles. `manage.py setup_roles` creates the usual ones."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
