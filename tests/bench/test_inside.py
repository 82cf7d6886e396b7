"""The part that runs inside the measured checkout and describes its programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.stage import BASELINE, INSIDE, describe
from project.local.state import ROOT, State


def test_a_checkout_describes_its_programs(tmp_path: Path) -> None:
    database_url = "postgres://shop:x@127.0.0.1:9/shop"
    programs, env, ports = describe(ROOT, State(tmp_path), database_url, "redis://:x@127.0.0.1:9/0")
    assert {"web", "worker", "gateway", "beat", "simulator", "baseline"} <= {*programs}
    assert (env["DATABASE_URL"], env["REDIS_URL"]) == (database_url, "redis://:x@127.0.0.1:9/1")
    web, baseline = programs["web"], programs["baseline"]
    assert BASELINE in baseline.argv
    assert "project.wsgi:application" not in baseline.argv
    assert str(ports["baseline"]) in baseline.argv
    assert str(ports["web"]) not in baseline.argv
    assert baseline.env == {**web.env, "DJANGO_SETTINGS_MODULE": "baseline_settings"}


def test_the_baseline_has_the_shops_settings_and_one_more_address() -> None:
    show = (
        "import django; django.setup(); from django.urls import resolve; import json; "
        "print(json.dumps(resolve('/synchronous/orders/').route))"
    )
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "baseline_settings",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{INSIDE}",
    }
    ended = subprocess.run(
        [sys.executable, "-c", show], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == "synchronous/orders/"
