"""What runs inside the measured project: its programs, as it describes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.programs import INSIDE, describe
from project.local.state import ROOT


def test_a_checkout_describes_its_programs(tmp_path: Path) -> None:
    described = describe(
        ROOT, tmp_path, database_url="postgres://shop:x@127.0.0.1:9/shop", valkey_url="redis://:x@127.0.0.1:9"
    )
    assert {"web", "worker", "gateway", "beat", "simulator", "baseline"} <= {*described.programs}
    baseline = described.programs["baseline"]
    assert "baseline.wsgi:application" in baseline.argv
    assert str(described.ports["baseline"]) in baseline.argv
    assert baseline.env["DATABASE_URL"] == described.env["DATABASE_URL"]


def test_the_baseline_has_the_shops_settings_and_one_more_address() -> None:
    show = (
        "import django; django.setup(); from django.urls import resolve; import json; "
        "print(json.dumps(resolve('/synchronous/orders/').route))"
    )
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "baseline.settings",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{INSIDE}",
    }
    ended = subprocess.run(
        [sys.executable, "-c", show], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == "synchronous/orders/"
