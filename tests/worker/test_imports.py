"""A worker serves no pages, so its start imports neither the desk nor the API's views."""

import os
import subprocess
import sys

from project.local.state import ROOT

START = """
import sys
from worker.celery import app
app.loader.import_default_modules()  # as `celery worker` does, with Celery's own signals
pages = ("unfold.admin", "shop.admin", "payments.admin", "rest_framework.views", "project.urls")
print(sorted(set(pages) & set(sys.modules)))
"""


def pages_after_start(**env: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def test_worker_imports_no_pages() -> None:
    assert pages_after_start() == "[]"


def test_all_checks_of_django_would_import_them() -> None:
    assert "project.urls" in pages_after_start(CELERY_SKIP_CHECKS="")
