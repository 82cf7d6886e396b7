"""The folder of one test run.

It is removed when the run ends; the next run removes what a killed run has left.

A run holds a lock on a file in its folder. The system releases it however the run ends, so a folder that can
be locked has no owner.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# One name per user: nobody may remove, or even lock, what belongs to another user.
PREFIX = f"course-shop-tests-of-{os.geteuid()}-"
LOCK = "lock"


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, for as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        with _locked(parent / f"{PREFIX}{LOCK}", wait=True):  # a new folder isn't locked for a moment
            _remove_leftovers(parent)
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(_locked(folder / LOCK, wait=True))
        yield folder


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*/"):
        # in use, or removed meanwhile
        with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(folder / LOCK, wait=False):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
