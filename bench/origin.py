"""Where figures come from: the machine, and the revision of what was measured."""

import platform
import subprocess
import time
from pathlib import Path

import psutil


def describe_machine(unit_s: float) -> dict[str, object]:
    """`unit_s`: the calibration's piece of work at speed 1. Figures "at speed 1" of two machines differ as these do."""
    return {
        "speed_1_ms": 1000 * unit_s,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def read_revision(project: Path) -> str:
    """As Git describes it, or "unknown"."""
    ended = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=project, capture_output=True, text=True, check=False)
    return ended.stdout.strip() or "unknown"
