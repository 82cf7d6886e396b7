from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class StaffSiteConfig(AdminConfig):
    """Django's admin with our own door."""

    default_site = "project.staffsite.StaffSite"
    default = False


class ProjectConfig(AppConfig):
    name = "project"
    verbose_name = _("项目")

    def ready(self) -> None:
        import worker.celery  # noqa: F401, PLC0415 - the Celery app that this process publishes through; it needs Django's settings
        from project import checks, ranges  # noqa: F401, PLC0415 - system checks register themselves once the apps are loaded
