"""Which user PostgreSQL runs as. It refuses to run as root, which is the user in many containers.

As root the server gets the user `nobody`, which every system has: no user is created and no folder outside of
ours changes its permissions. Where `nobody` can't get at our folder (a clone below /root), the data and a
copy of the programs go to a folder under /var/tmp instead.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from project.local.child import User
from project.local.errors import LocalError

USER_NAME = "nobody"
ELSEWHERE = Path("/var/tmp")  # noqa: S108 - the folder made in it belongs to root and is checked to; survives a restart, unlike /tmp


def choose_user() -> User | None:
    """Who PostgreSQL must run as: None for whoever we are, unless that is root.

    Raises: LocalError when we are root and may not become anybody else.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        raise LocalError(
            f"PostgreSQL does not run as root, and there is no user {USER_NAME} here. Start this as an "
            f"ordinary user."
        ) from None
    user = User(name=USER_NAME, uid=entry.pw_uid, gid=entry.pw_gid)
    try:
        _can(user, "true")
    except (PermissionError, OSError, subprocess.SubprocessError) as error:
        raise LocalError(
            f"PostgreSQL does not run as root, and this root may not become {USER_NAME}: {error}. Start this "
            f"as an ordinary user."
        ) from error
    return user


def can_enter(user: User, folder: Path) -> bool:
    """Whether this user may enter the folder and all of its parents."""
    return _can(user, 'cd "$1"', str(folder))


def can_run(user: User, program: Path) -> bool:
    """Whether this user can start the program."""
    return _can(user, '"$1" --version', str(program))


def shelter(key: Path, *, name: str) -> Path:
    """A folder that any user can enter and only root can change, always the same one for the same key.

    Raises: LocalError when somebody else has put something in its place.
    """
    digest = hashlib.sha256(os.fsencode(key.resolve())).hexdigest()[:12]
    folder = ELSEWHERE / f"course-shop-{name}-{digest}"
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
        raise LocalError(f"{folder} belongs to somebody else. Remove it, or start this as an ordinary user.")
    folder.chmod(0o711)
    return folder


def copy_programs(source: Path) -> Path:
    """A copy of PostgreSQL's installation that every user can run; made once."""
    target = shelter(source, name="postgresql") / "install"
    if not target.exists():
        unfinished = target.with_name(f"unfinished-{os.getpid()}")
        shutil.copytree(
            source, unfinished, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include", "pkgconfig")
        )
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            unfinished.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(unfinished)
    return target


def _can(user: User, script: str, *args: str) -> bool:
    ended = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *args],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return ended.returncode == 0
