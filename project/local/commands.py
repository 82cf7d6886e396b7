"""Commands of manage.py, one after the other or beside other work."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from project.local.child import Child
from project.local.errors import LocalError
from project.local.state import ROOT

TIMEOUT_S = 600  # a migration of many rows takes long


def manage(*args: str, env: Mapping[str, str], log_folder: Path) -> Child:
    """The command, not yet started. It writes to a log named after it."""
    log_folder.mkdir(parents=True, exist_ok=True)
    return Child(
        name=f"manage.py {args[0]}",
        argv=[sys.executable, "manage.py", *args],
        env=env,
        cwd=ROOT,
        log_path=log_folder / f"{args[0]}.log",
    )


@contextmanager
def beside(command: Child) -> Iterator[None]:
    """Runs the command while the block does something else, and waits for it at the end of the block. If the
    block fails, the command is killed.

    Raises: LocalError when the command fails, with the end of its log.
    """
    command.start()
    try:
        yield
        command.wait(TIMEOUT_S)
        if command.exit_status != 0:
            raise LocalError(f"{command.name} failed:\n{command.log_tail(40)}")
    finally:
        command.kill()


def run(command: Child) -> None:
    """Raises: LocalError when the command fails, with the end of its log."""
    with beside(command):
        pass
