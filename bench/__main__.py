"""The command line of `bin/bench`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.run import DEFAULT, SCENARIOS, Options, run
from bench.scenarios import FULL, QUICK
from project.local import interrupts
from project.local.errors import LocalError
from project.local.state import ROOT

INTERRUPTED = 130  # 128 + SIGINT, as shells tell it


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when something could not be measured, or with `--gate` when a gate
    doesn't hold.
    """
    options = parse(argv)
    interrupts.install()
    try:
        return run(options)
    except (LocalError, EOFError, ConnectionError, TimeoutError, RuntimeError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED


def parse(argv: Sequence[str] | None) -> Options:
    what = "Measures what an order costs and how fast it is, on servers of its own."
    parser = argparse.ArgumentParser(prog="bin/bench", description=what)
    names = [*SCENARIOS]
    parts = f"of {', '.join(names)}; all but gateway by default"
    parser.add_argument("--only", nargs="+", choices=names, default=DEFAULT, metavar="NAME", help=parts)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions")
    parser.add_argument("--repeat", type=int, metavar="N", help="repetitions of everything")
    checkouts = "another checkout's code; twice: both, in turns"
    parser.add_argument("--project", type=Path, action="append", metavar="DIR", help=checkouts)
    out = ROOT / ".local" / "bench"
    parser.add_argument(
        "--out", type=Path, default=out, metavar="DIR", help="data and results (.local/bench)"
    )
    gate = "exit status 1 when a gate doesn't hold or anything was lost or rejected"
    parser.add_argument("--gate", action="store_true", help=gate)
    found = parser.parse_args(argv)
    size = QUICK if found.quick else FULL
    if found.repeat:
        size = replace(size, repeats=found.repeat)
    projects = [path.resolve() for path in found.project or [ROOT]]
    return Options(size, found.only, projects, found.out.resolve(), gate=found.gate)


if __name__ == "__main__":
    sys.exit(main())
