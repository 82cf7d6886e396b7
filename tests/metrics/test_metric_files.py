"""Metrics shared between processes: slots, forks, and deaths."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from project.local.state import ROOT
from shop.metric_files import ServiceCollector, Slots

COUNT = """
import os, sys
from prometheus_client import Counter, Gauge
import shop.metric_files
calls = Counter("calls_total", "Calls.")
open_ = Gauge("breaker_open", "Open.", multiprocess_mode="livesum")
calls.inc(int(sys.argv[1]))
open_.set(1)
"""


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": "", "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(folder)}


def run(folder: Path, code: str, *args: str) -> str:
    """The output of a process, which ends before this returns, successfully or not."""
    return subprocess.run(  # noqa: PLW1510 - some are meant to die
        [sys.executable, "-c", code, *args],
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
    ).stdout


@contextmanager
def running(folder: Path, code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A running process that has printed a line."""
    argv = [sys.executable, "-c", code, *args]
    with subprocess.Popen(
        argv, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def read(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(ServiceCollector(folder, Slots(folder)))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    for _ in range(3):
        run(tmp_path, COUNT, "5")
    assert read(tmp_path)["calls_total"] == 15
    assert [path.name for path in tmp_path.glob("counter_*.db")] == ["counter_0.db"]


def test_living_processes_have_slots_of_their_own(tmp_path: Path) -> None:
    waiting = COUNT + "\nprint('counted', flush=True); sys.stdin.readline()"
    with (
        running(tmp_path, waiting, "1"),
        running(tmp_path, waiting, "2") as victim,
        running(tmp_path, waiting, "4"),
    ):
        assert read(tmp_path) == {"calls_total": 7, "breaker_open": 3}
        victim.kill()
        victim.wait(10)
        # Its counters stay; its gauges of a living process go.
        assert read(tmp_path) == {"calls_total": 7, "breaker_open": 2}
    assert read(tmp_path) == {"calls_total": 7}


def test_a_child_takes_another_slot_than_its_parent(tmp_path: Path) -> None:
    forking = (
        COUNT
        + """
pid = os.fork()
if pid == 0:
    calls.inc(10)
    os._exit(0)
os.waitpid(pid, 0)
calls.inc(100)
"""
    )
    run(tmp_path, forking, "1")
    assert read(tmp_path)["calls_total"] == 111
    assert {path.name for path in tmp_path.glob("counter_*.db")} == {"counter_0.db", "counter_1.db"}


def test_an_orphan_leaves_its_dead_parents_slot_alone(tmp_path: Path) -> None:
    """It has a copy of its parent's counters from the fork. Writing them would undo what the parent counted
    later.
    """
    orphaned = (
        COUNT
        + """
ready, go = os.pipe(), os.pipe()
if os.fork() == 0:
    os.read(go[0], 1)
    calls.inc(10)
    print("done", flush=True)
    os._exit(0)
calls.inc(100)
os.write(go[1], b"x")
os.kill(os.getpid(), 9)
"""
    )
    assert run(tmp_path, orphaned, "1") == "done\n"
    assert read(tmp_path)["calls_total"] == 111


def test_the_librarys_own_way_gathers_files(tmp_path: Path) -> None:
    """The control of the first test: by process ids, three processes leave three files."""
    by_pid = COUNT.replace("import shop.metric_files\n", "")
    for _ in range(3):
        run(tmp_path, by_pid, "5")
    assert len(list(tmp_path.glob("counter_*.db"))) == 3


@pytest.mark.parametrize(
    "module", ["shop.metrics", "payments.metrics", "project.web.counted", "worker.task_metrics"]
)
def test_every_metric_is_shared(tmp_path: Path, module: str) -> None:
    code = (
        f"import {module}\nfrom prometheus_client import "
        f"values\nprint(values.ValueClass.__qualname__, values.ValueClass._multiprocess)"
    )
    assert "MultiProcessValue" in run(tmp_path, code)
    assert (tmp_path / "slot_0.lock").exists()


def test_every_module_that_makes_metrics_shares_them() -> None:
    makers = {
        str(path.relative_to(ROOT))
        for app in ("shop", "payments", "project", "worker")
        for path in (ROOT / app).rglob("*.py")
        if "from prometheus_client import" in (text := path.read_text())
        and any(f"{kind}(\n" in text or f"= {kind}(" in text for kind in ("Counter", "Gauge", "Histogram"))
    }
    assert makers == {
        "shop/metrics.py",
        "payments/metrics.py",
        "project/web/counted.py",
        "worker/task_metrics.py",
    }


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    """A variable without a value, as Compose passes it. Nothing is written to the current folder."""
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + COUNT + "\nprint(calls._value.get())"
    env = environment(tmp_path) | {"PROMETHEUS_MULTIPROC_DIR": ""}
    ended = subprocess.run(
        [sys.executable, "-c", code, "5"], env=env, capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout == "5.0\n"
    assert list(tmp_path.iterdir()) == []
