"""Simulates random lives of a shop and its gateway, and checks the books after every step.

bin/money-machine --steps 100000 --seed 1

It starts its own PostgreSQL. The same seed gives the same steps. A failure prints the seed, the episode and
the last steps; `--episode` starts with that one. A step takes 10 to 30 ms.
"""

import argparse
import os
import sys
import time

from tests import stack


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--episode", type=int, default=0, help="the first life to play, to see a failure again"
    )
    arguments = parser.parse_args()
    with stack.start_servers():
        os.environ["LOG_LEVEL"] = "CRITICAL"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from tests.payments.test_machine import run_episodes

        started, shown = time.monotonic(), time.monotonic()

        def report(done: int, episode: int, seconds: float, shop: object) -> None:
            nonlocal shown
            if time.monotonic() - shown > 20:
                shown = time.monotonic()
                print(f"seed {arguments.seed}: {done} steps, {episode} episodes, {seconds:.0f} s", flush=True)

        done = run_episodes(
            seed=arguments.seed, steps=arguments.steps, episode=arguments.episode, report=report
        )
        print(
            f"seed {arguments.seed}: {done} steps without a broken rule in "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
