"""Exit status 0 when a server on this machine answers 200: `python project/probe.py 8000/readyz`. For health
checks in containers.

With `--end-unless 8000/healthz` it also ends the container's main process when that address hasn't answered
three times in a row: Docker restarts what has ended, and leaves alone what only hangs. Asks by the shop's
public name, which the shop insists on, and needs nothing but the standard library, so that it takes a tenth
of a second.
"""

import argparse
import http.client
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 4
PATIENCE = 3
MAIN_PROCESS = 1
COUNT = Path("/tmp/silent-probes")  # noqa: S108 - the container's own


def main(argv: Sequence[str], *, count: Path = COUNT, main_process: int = MAIN_PROCESS) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address", metavar="PORT/PATH")
    parser.add_argument("--end-unless", metavar="PORT/PATH")
    options = parser.parse_args(argv)
    if options.end_unless:
        end_what_is_silent(options.end_unless, count, main_process)
    return 0 if answers(options.address) else 1


def answers(address: str) -> bool:
    port, _, path = address.partition("/")
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    try:
        connection.request(
            "GET",
            f"/{path}",
            headers={"Host": urlsplit(os.environ.get("PUBLIC_URL", "")).netloc or "127.0.0.1"},
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{address}: {error}\n")
        return False
    sys.stdout.write(f"{address}: {status}\n")
    return status == http.client.OK


def end_what_is_silent(address: str, count: Path, main_process: int) -> None:
    """Counts from the first answer on, so that a slow start doesn't count as silence."""
    if answers(address):
        count.write_text("0")
        return
    if not count.exists():
        return
    silent = int(count.read_text() or 0) + 1
    count.write_text(str(silent))
    if silent >= PATIENCE:
        # granian kills processes of its own that don't end: --workers-kill-timeout
        os.kill(main_process, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
