from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks
from django.utils.translation import gettext_lazy as _


class StaffSiteConfig(SimpleAdminConfig):
    """Django's admin with the shop's own login (`project/staffsite.py`).

    Only processes that serve pages import what is registered in it (`project/urls.py`). Workers, beat and
    most commands don't: it is a third of what a process would have to import.
    """

    default_site = "project.staffsite.StaffSite"
    default = False

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_desk, checks.Tags.admin)


def _check_desk(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Django's checks of everything that is registered in the admin; imports it first."""
    admin.autodiscover()
    return check_admin_app(app_configs, **options)


class ProjectConfig(AppConfig):
    name = "project"
    verbose_name = _("项目")

    def ready(self) -> None:
        import worker.celery  # noqa: F401, PLC0415 - the Celery app that this process publishes through; it needs Django's settings
        from project import checks, ranges  # noqa: F401, PLC0415 - system checks register themselves once the apps are loaded
