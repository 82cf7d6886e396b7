"""The state folder: private, stable between starts, and used by one start at a time."""

import json
import os
import stat
from pathlib import Path

import pytest

from project.local.errors import LocalError
from project.local.state import State, write_private


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    first = state.load_secrets()
    assert state.load_secrets() == first
    assert stat.S_IMODE((tmp_path / "state" / "secrets.json").stat().st_mode) == 0o600
    assert len(first.django_secret_key) >= 50
    assert State(tmp_path / "other").load_secrets() != first


def test_a_secret_that_is_new_in_a_version_is_added(tmp_path: Path) -> None:
    state = State(tmp_path)
    first = state.load_secrets()
    path = tmp_path / "secrets.json"
    known = json.loads(path.read_text())
    del known["flower_password"]
    path.write_text(json.dumps(known))
    again = state.load_secrets()
    assert again.demo_password == first.demo_password
    assert again.flower_password != first.flower_password


def test_second_start_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    state = State(tmp_path)
    with state.lock(), pytest.raises(LocalError, match=rf"running already \(process {os.getpid()}\)"):
        state.lock()
    state.lock().close()


def test_reset_removes_all_but_the_lock(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.load_secrets()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    (state.folder / "postgres").symlink_to(elsewhere)
    (state.folder / "valkey").mkdir()
    with state.lock():
        state.reset()
    assert [path.name for path in state.folder.iterdir()] == ["lock"]
    assert not elsewhere.exists()


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    path.write_text("readable by all")
    path.chmod(0o644)
    write_private(path, {"名": "值"})
    assert json.loads(path.read_text()) == {"名": "值"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["demo.json"]
