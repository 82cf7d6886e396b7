"""The shop's settings with BENCH_CHANGES made to them and to the database, and an app that makes the others."""

import json
import os
from typing import Any

from project.settings import *  # noqa: F403 - all of them, by Django's own convention
from project.settings import DATABASES, INSTALLED_APPS

BENCH_CHANGES: dict[str, Any] = json.loads(os.environ["BENCH_CHANGES"])

INSTALLED_APPS = [*INSTALLED_APPS, "alternative.apps.AlternativeConfig"]

_database = DATABASES["default"]
_changed = BENCH_CHANGES.get("database", {})
_options = {**_database["OPTIONS"], **_changed.get("OPTIONS", {})}
_options["options"] = f"{_options['options']} {BENCH_CHANGES.get('session', '')}".strip()
DATABASES["default"] = {**_database, **_changed, "OPTIONS": _options}

globals().update(BENCH_CHANGES.get("settings", {}))
