"""Exit status 0 if a server on this machine answers 200: `python project/probe.py 8000/readyz`. For the
health checks of containers.

With `--end-unless 8000/healthz` it also ends the container's main process once that address has failed three
probes in a row: Docker restarts a container whose process has ended, but not one that hangs. A probe carries
the shop's public host name, since the shop accepts no other, and uses only the standard library, so that it
takes a tenth of a second.
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
    """Whether the server answers 200 at `PORT/PATH`, within `TIMEOUT_S`; prints the status or the error."""
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
    """Ends the main process after `PATIENCE` failed probes in a row; `count` is the file that keeps their
    number.

    Counting starts with the first success, so a slow start isn't taken for a hang.
    """
    if answers(address):
        count.write_text("0")
        return
    if not count.exists():
        return
    silent = int(count.read_text() or 0) + 1
    count.write_text(str(silent))
    if silent >= PATIENCE:
        # Granian kills workers that don't end: --workers-kill-timeout.
        os.kill(main_process, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
