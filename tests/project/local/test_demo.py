"""The demo from the command line: a course is delivered, scripts find everything, nothing is left behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from project.local.state import ROOT
from project.local.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("demo")]


@contextlib.contextmanager
def new_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["TEST_FOLDER"]))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh_folder() -> Iterator[Path]:
    with new_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def state_folder() -> Iterator[Path]:
    """The first demo creates everything, the second one finds it."""
    with new_folder() as folder:
        yield folder


def assert_no_process_of(folder: Path) -> None:
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if str(folder) in command] == []


def start_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "project.local.demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
def test_once_delivers_a_course_and_leaves_no_process(state_folder: Path) -> None:
    ended = start_demo("--once", "--state", str(state_folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Delivered 2 course(s)" in ended.stdout
    assert not (state_folder / "demo.json").exists()
    assert_no_process_of(state_folder)
    assert stat.S_IMODE((state_folder / "secrets.json").stat().st_mode) == 0o600
    assert set(json.loads((state_folder / "secrets.json").read_text())) >= {
        "demo_password",
        "django_secret_key",
    }


def test_a_taken_port_is_refused_before_anything_is_started(fresh_folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = start_demo("--once", "--state", str(fresh_folder), "--port", str(port))
    assert ended.returncode == 1
    assert (
        f"Port {port} on 127.0.0.1 is taken by another program. Choose another one with --port N."
        in ended.stderr
    )
    assert not (fresh_folder / "postgres").exists()


def test_served_demo_shows_its_table_last_and_stops_within_ten_seconds(state_folder: Path) -> None:
    output_path = state_folder / "output"
    command = [sys.executable, "-m", "project.local.demo", "--state", str(state_folder)]
    with output_path.open("w") as output:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        assert wait_until(
            lambda: "Ctrl-C stops everything." in output_path.read_text() or demo.poll() is not None,
            timeout_s=200,
        )
        assert demo.poll() is None, output_path.read_text()
        described = json.loads((state_folder / "demo.json").read_text())
        httpx.get(f"{described['urls']['storefront']}healthz", trust_env=False)  # which the web process logs
        shown = output_path.read_text()
        asked_at = time.monotonic()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 0
        assert time.monotonic() - asked_at < 10
    finally:
        demo.kill()
        demo.wait()
    assert "Delivered 2 course(s)" in shown
    assert_no_process_of(state_folder)
    assert shown.rstrip().endswith("Ctrl-C stops everything.")
    assert output_path.read_text() == f"{shown}\nStopped.\n"
    login = described["logins"]["buyers"][0]["password"]
    table = shown[shown.index("  Storefront") :].splitlines()
    assert sum(login in line for line in table) == 2
    assert [line for line in table if len(line) > 80 and str(state_folder) not in line] == []
    assert (state_folder / "log" / "web.log").stat().st_size > 0
