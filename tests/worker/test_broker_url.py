"""The broker's address may come from a file, as every setting may."""

import os
import subprocess
import sys
from pathlib import Path

from project.local.state import ROOT


def test_a_file_goes_before_the_variable_for_celery_too(tmp_path: Path) -> None:
    secret = tmp_path / "celery_broker_url"
    secret.write_text("redis://:hidden@127.0.0.1:9/0\n")
    env = {
        **os.environ,
        "CELERY_BROKER_URL": "in-a-file",
        "CELERY_BROKER_URL_FILE": str(secret),
        "PYTHONPATH": str(ROOT),
    }
    program = """
import django
django.setup()
from worker.celery import app
print(app.connection_for_read().as_uri(include_password=True))
print(app.connection_for_write().as_uri(include_password=True))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["redis://:hidden@127.0.0.1:9/0"] * 2
