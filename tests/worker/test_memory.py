"""The garbage collector of the shop's processes."""

import gc
import subprocess
import sys

import pytest

from project.local.state import ROOT
from worker.memory import MIDDLE, OLD, YOUNG, calm_collector

SHOW = "import gc, project.wsgi; print(gc.get_threshold(), gc.get_freeze_count() > 10_000)"

SHOW_WORKER = """
import gc
from celery.signals import worker_init
from worker.celery import app
app.loader.import_default_modules()
worker_init.send(sender=None)
print(gc.get_threshold(), gc.get_freeze_count() > 10_000)
"""


def test_collector_is_calmed_and_still_collects() -> None:
    before = gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_threshold() == (YOUNG, MIDDLE, OLD)
        assert gc.isenabled()
        ring: list[object] = []
        ring.append(ring)
        del ring
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_web_process_calms_it() -> None:
    ended = subprocess.run([sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == f"{(YOUNG, MIDDLE, OLD)} True"


def test_worker_calms_it_before_it_forks() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHOW_WORKER], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == f"{(YOUNG, MIDDLE, OLD)} True"


def test_commands_collect_seldom() -> None:
    show = "import gc; print(gc.get_threshold())"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", show]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == f"{(YOUNG, MIDDLE, OLD)}"


@pytest.mark.parametrize("entry", ["project.wsgi", "worker.celery"])
def test_imports_of_a_start_are_hardly_searched_for_cycles(entry: str) -> None:
    """With the default thresholds there are a hundred and more middle-aged collections."""
    show = f"import gc, {entry}; print(gc.get_stats()[1]['collections'])"
    ended = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 10
