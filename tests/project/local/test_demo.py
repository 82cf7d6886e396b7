"""The demo as somebody starts it: a course is delivered, scripts find everything, nothing is left behind."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from project.local.state import ROOT

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("demo")]


@pytest.fixture
def state_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["TEST_FOLDER"]))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def start_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "project.local.demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def test_once_delivers_a_course_and_leaves_no_process(state_folder: Path) -> None:
    ended = start_demo("--once", "--state", str(state_folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Delivered 2 course(s)" in ended.stdout
    assert not (state_folder / "demo.json").exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(state_folder) in " ".join(p.info["cmdline"] or [])]
    assert stat.S_IMODE((state_folder / "secrets.json").stat().st_mode) == 0o600
    assert set(json.loads((state_folder / "secrets.json").read_text())) >= {"demo_password", "django_secret_key"}


def test_a_taken_port_is_refused_before_anything_is_started(state_folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = start_demo("--once", "--state", str(state_folder), "--port", str(port))
    assert ended.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken by another program. Choose another one with --port N." in ended.stderr
    assert not (state_folder / "postgres").exists()
