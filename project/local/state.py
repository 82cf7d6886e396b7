"""The folder `.local`: what has to survive between two starts on this machine, and the lock that only one
start at a time can hold.
"""

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from project.local.errors import LocalError

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Secrets:
    """Made once, on the first start. Nobody else's shop has the same ones."""

    django_secret_key: str
    database_password: str
    broker_password: str
    demo_password: str
    flower_password: str

    @classmethod
    def generate(cls) -> "Secrets":
        return cls(
            django_secret_key=secrets.token_urlsafe(64),
            database_password=secrets.token_hex(16),
            broker_password=secrets.token_hex(16),
            demo_password=secrets.token_urlsafe(9),
            flower_password=secrets.token_urlsafe(9),
        )


@dataclass(frozen=True)
class State:
    """Paths below one folder. Nothing is made until it is asked for."""

    folder: Path

    @property
    def log_folder(self) -> Path:
        return self.folder / "log"

    @property
    def simulator_folder(self) -> Path:
        return self.folder / "simulator"

    @property
    def metrics_folder(self) -> Path:
        return self.folder / "metrics"

    @property
    def description_path(self) -> Path:
        """What scripts read: where everything is and how to log in."""
        return self.folder / "demo.json"

    def lock(self) -> IO[str]:
        """Keeps a second start out for as long as the returned file is open.

        The system lets go of it however this process ends.

        Raises: LocalError when another start has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise LocalError(
                f"The demo of this folder is running already (process {owner}). Stop it first, or use "
                f"another clone."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def load_secrets(self) -> Secrets:
        """The secrets of this folder, made on the first call and readable by their owner only."""
        path = self.folder / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        kept = {item.name: known[item.name] for item in fields(Secrets) if item.name in known}
        loaded = Secrets(**{**asdict(Secrets.generate()), **kept})
        if asdict(loaded) != known:
            write_private(path, asdict(loaded))
        return loaded

    def reset(self) -> None:
        """Deletes databases, queues, keys, logs and logins of the demo. The virtual environment stays."""
        if not self.folder.exists():
            return
        for path in self.folder.iterdir():
            if path.name in {"lock", "venv.lock"}:
                continue
            if path.is_symlink():
                shutil.rmtree(path.resolve(), ignore_errors=True)
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON that only its owner may read, at once: nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    unfinished.replace(path)
