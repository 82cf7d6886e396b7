"""Makes the changes that settings can't: the last app, so that everything that it changes is loaded."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

DEEDS = ("wake_ups", "worker", "signatures")


class AlternativeConfig(AppConfig):
    name = "alternative"

    def ready(self) -> None:
        changes = settings.BENCH_CHANGES
        for path, value in changes.get("constants", {}).items():
            set_constant(path, value)
        for deed in DEEDS:
            if deed in changes:
                getattr(import_module(f"alternative.{deed.replace('_', '')}"), changes[deed])()


def set_constant(path: str, value: object) -> None:
    """Raises: AttributeError when the shop has no such constant (any more)."""
    module_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    getattr(module, name)
    setattr(module, name, value)
