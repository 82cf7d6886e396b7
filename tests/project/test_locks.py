"""pyproject.toml is the only source of the environment; the locks match it and pin everything by hash."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from project.local.state import ROOT

LOCKS = {
    "runtime": "requirements.txt",
    **{kind: f"requirements-{kind}.txt" for kind in ("local", "dev", "bench", "otel")},
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(folder: Path, lock: str) -> dict[str, str]:
    return {
        re.sub(r"[._-]+", "-", name).lower(): version
        for name, version in PIN.findall((folder / lock).read_text())
    }


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "bin" / "lock-packages", "--check"], capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the check reads."""
    (tmp_path / "bin").mkdir()
    for name in ("bin/_venv", "bin/lock-packages", "pyproject.toml", *LOCKS.values()):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_locks_are_in_step() -> None:
    ended = check(ROOT)
    assert ended.returncode == 0, ended.stderr


def test_each_kind_is_declared_once_and_has_its_lock() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {"runtime", *groups} == set(LOCKS)
    assert {path.name for path in ROOT.glob("requirements*")} == set(LOCKS.values())


def test_every_file_is_known_by_its_hash() -> None:
    for lock in LOCKS.values():
        packages = re.split(r"\n(?=[A-Za-z])", (ROOT / lock).read_text().strip())[1:]
        assert packages
        assert [package for package in packages if "--hash=sha256:" not in package] == []


def test_no_package_has_two_versions() -> None:
    runtime = pins(ROOT, LOCKS["runtime"])
    for lock in LOCKS.values():
        assert runtime.items() <= pins(ROOT, lock).items()


@pytest.mark.parametrize("lock", LOCKS.values())
def test_a_lock_that_was_edited_is_out_of_step(checkout: Path, lock: str) -> None:
    path = checkout / lock
    path.write_text(path.read_text().replace("django==", "django==9.", 1))
    ended = check(checkout)
    assert ended.returncode == 1
    assert (
        ended.stderr == f"{lock} is out of step with pyproject.toml, or was edited: run bin/lock-packages.\n"
    )


def test_locks_of_other_dependencies_are_out_of_step(checkout: Path) -> None:
    path = checkout / "pyproject.toml"
    path.write_text(path.read_text().replace('"segno==', '"segno==9.', 1))
    ended = check(checkout)
    assert ended.returncode == 1
    assert [line.split()[0] for line in ended.stderr.splitlines()] == [*LOCKS.values()]
