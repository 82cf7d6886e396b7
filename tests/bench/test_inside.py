"""The settings module that makes another choice inside the measured project."""

import json
import os
import subprocess
import sys
from typing import Any

from bench.programs import INSIDE
from project.local.state import ROOT

SHOW = """
import json, django
django.setup()
from django.conf import settings
from payments.gateways.alipay.client import AlipayClient
from payments import tasks
from shop import wakeup
from shop.domain import creation, work
database = settings.DATABASES["default"]
print(json.dumps({
    "age": database["CONN_MAX_AGE"], "options": database["OPTIONS"], "batch": creation.BATCH_SIZE, "drain_s": work.DRAIN_S,
    "ring": wakeup._Bell.ring.__qualname__, "wake": tasks.wake.__name__, "sign": AlipayClient._sign.__module__,
}))
"""


def start(changes: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    env = {
        "DJANGO_SETTINGS_MODULE": "alternative.settings",
        "BENCH_CHANGES": json.dumps(changes),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{INSIDE}",
    }
    return subprocess.run([sys.executable, "-c", SHOW], env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_changes_everything_is_the_shops() -> None:
    found = json.loads(start({}).stdout)
    assert (found["age"], found["batch"], found["drain_s"]) == (600, 64, 10)
    assert (found["options"]["prepare_threshold"], found["ring"], found["sign"]) == (2, "_Bell.ring", "payments.gateways.alipay.client")


def test_changes_are_made_and_nothing_else() -> None:
    changes = {
        "database": {"CONN_MAX_AGE": 0, "OPTIONS": {"prepare_threshold": None}},
        "session": "-c synchronous_commit=off",
        "constants": {"payments.domain.inbox.BATCH_SIZE": 8},
        "wake_ups": "task_per_row",
        "signatures": "pycryptodome",
    }
    found = json.loads(start(changes).stdout)
    assert (found["age"], found["batch"], found["drain_s"], found["wake"]) == (0, 1, 0, "_say_nothing")
    assert found["options"]["options"].endswith("idle_in_transaction_session_timeout=15s -c synchronous_commit=off")
    assert (found["options"]["server_side_binding"], found["options"]["prepare_threshold"]) == (True, None)
    assert found["sign"] == "alipay"


def test_a_constant_that_the_shop_does_not_have_is_refused() -> None:
    ended = start({"constants": {"shop.domain.creation.NO_SUCH": 1}})
    assert ended.returncode != 0
    assert "NO_SUCH" in ended.stderr
