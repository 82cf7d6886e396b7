from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "支付"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # System checks and errors register themselves once the apps are loaded.
        from payments import checks, deploychecks, errors  # noqa: F401, PLC0415
