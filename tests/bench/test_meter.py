"""CPU time is counted per process tree, including children that have ended."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.meter import Calibration, Meter, Window
from project.local.errors import LocalError

BURN = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture
def calibration(tmp_path: Path) -> Iterator[Calibration]:
    with Calibration(tmp_path) as running:
        yield running


def test_a_child_that_has_ended_is_counted_with_its_parent(calibration: Calibration) -> None:
    script = (
        f"import subprocess, sys\nsys.stdin.readline()\nsubprocess.run([sys.executable, '-c', "
        f"{BURN!r}])\nprint('done', flush=True)\nsys.stdin.readline()"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        subprocess.Popen(["sleep", "60"]) as idler,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        with Meter(calibration, {"burner": [process.pid], "idler": [idler.pid]}) as meter:
            process.stdin.write("go\n")
            process.stdin.flush()
            process.stdout.readline()
        process.stdin.close()
        idler.kill()
    window = meter.window
    assert 0.25 < window.cpu_s["burner"] < 1.0
    assert window.cpu_s["idler"] < 0.05
    assert 0 < window.speed <= 1.5


def test_ms_at_speed_one_are_raw_ms_times_speed() -> None:
    window = Window(wall_s=2.0, cpu_s={"web": 1.0, "postgres": 0.5}, speed=0.5, others=0.31)
    assert window.raw_ms_per(1000) == 1.5
    assert window.ms_per(1000) == 0.75
    assert window.ms_per(1000, "postgres") == 0.25
    assert window.ms_per(1000, "flower") == 0.0
    assert window.is_disturbed


def test_the_calibration_gives_the_speed_and_keeps_the_fastest(
    tmp_path: Path, calibration: Calibration
) -> None:
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert 0 < calibration.take() <= 1.5
    assert (tmp_path / "speed.json").exists()


def test_without_a_sample_there_is_no_speed(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no sign of life"):
        Calibration(tmp_path).take()
