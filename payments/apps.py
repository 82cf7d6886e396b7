from django.apps import AppConfig
from django.utils.translation import pgettext_lazy


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = pgettext_lazy("many", "支付")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # System checks and errors register themselves once the apps are loaded.
        from payments import checks, deploychecks, errors  # noqa: F401, PLC0415
