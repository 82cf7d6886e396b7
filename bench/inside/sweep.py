"""Runs inside the measured project: reads a number per line, sweeps that many times and prints `done`."""

import sys

import django

django.setup()

from worker.tasks import sweep  # noqa: E402 - needs Django

for line in sys.stdin:
    for _ in range(int(line)):
        sweep()
    print("done", flush=True)
