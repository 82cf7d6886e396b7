from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "project"
    verbose_name = "项目"

    def ready(self) -> None:
        import worker  # noqa: F401, PLC0415 - the Celery app that this process publishes through; it needs Django's settings
        from project import checks  # noqa: F401, PLC0415 - system checks register themselves once the apps are loaded
