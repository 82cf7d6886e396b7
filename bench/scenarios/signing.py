"""What a signature costs, in a process of its own that does nothing else."""

import subprocess
import sys
from collections.abc import Iterator

from bench.figures import Sample
from bench.programs import INSIDE
from bench.size import Size
from bench.stage import Stage
from project.local.errors import LocalError

# What is told to the process → row, and how often it is done for each signature: so often that a clock of a hundred ticks a second sees it.
ROWS = {"sign": ("sign a pay URL", 1), "verify": ("verify a notification", 6)}


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Pay URLs built and signed, then notifications verified, each with all that the gateway's module does about it."""
    command = [sys.executable, str(INSIDE / "signing.py")]
    with subprocess.Popen(
        command, cwd=stage.project, env=dict(stage.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _expect(process, "ready")
            for name, (row, times) in ROWS.items():
                yield _measure_one(stage, process, name, row, times * size.signatures)
        finally:
            process.kill()


def _measure_one(stage: Stage, process: "subprocess.Popen[str]", name: str, row: str, count: int) -> Sample:
    assert process.stdin is not None
    with stage.measured(also={"web": [process.pid]}) as measured:
        process.stdin.write(f"{name} {count}\n")
        process.stdin.flush()
        _expect(process, "done")
    return Sample(row, count, measured.window, figures={"per_s": count / measured.window.wall_s})


def _expect(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise LocalError(f"the signing process said {said!r} instead of {word!r}")
