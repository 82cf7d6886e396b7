"""Commands of manage.py beside other work: what fails is told, and nothing is left behind."""

import os
import sys
from pathlib import Path

import pytest

from project.local.child import Child
from project.local.commands import beside, manage, run
from project.local.errors import LocalError


@pytest.fixture
def sleeper(tmp_path: Path) -> Child:
    return Child(name="sleeper", argv=["/bin/sleep", "60"], log_path=tmp_path / "log", cwd=tmp_path)


def python(code: str, folder: Path) -> Child:
    return Child(name="python", argv=[sys.executable, "-c", code], log_path=folder / "log", cwd=folder)


def test_failed_command_says_why(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"nothing failed:\n.*Unknown command: 'nothing'"):
        run(manage("nothing", env=os.environ, log_folder=tmp_path / "log"))
    assert "Unknown command" in (tmp_path / "log" / "nothing.log").read_text()


def test_command_runs_beside_the_block_and_is_done_after_it(tmp_path: Path) -> None:
    wait_for_the_block = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)"
    command = python(wait_for_the_block, tmp_path)
    with beside(command):
        assert command.is_running()
        (tmp_path / "go").touch()
    assert command.exit_status == 0


def test_failing_block_kills_the_command(sleeper: Child) -> None:
    with pytest.raises(ZeroDivisionError), beside(sleeper):
        raise ZeroDivisionError
    assert not sleeper.is_running()
    assert sleeper.exit_status == -9
