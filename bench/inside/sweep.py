"""Runs inside the measured project: the sweep, so many times; prints the CPU seconds of its Python part.

`python sweep.py TIMES` says `ready`, waits for a line, and works.
"""

import sys
import time

import django

django.setup()

from worker.tasks import sweep  # noqa: E402 - needs Django


def main() -> None:
    sweep()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    for _ in range(int(sys.argv[1])):
        sweep()
    print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
