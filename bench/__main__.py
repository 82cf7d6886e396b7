"""The command line of `bin/bench`."""

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.choices.catalogue import CHOICES
from bench.run import GROWTH, GROWTH_SAYS, SCENARIOS, Options, run
from bench.size import CHOICE_FULL, CHOICE_QUICK, FULL, QUICK
from project.local.errors import LocalError
from project.local.state import ROOT

INTERRUPTED = 130  # 128 + SIGINT, as shells tell it


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when something could not be measured, or with `--gate` when a gate doesn't hold."""
    options = _parse(argv)
    if options is None:
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _timed(options)
    except (LocalError, ConnectionError, TimeoutError, RuntimeError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED


def _parse(argv: Sequence[str] | None) -> Options | None:
    parser = argparse.ArgumentParser(
        prog="bin/bench", description="Measures what an order costs and how fast it is, on servers of its own."
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes (choices: five): fewer and shorter repetitions")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--only", nargs="+", choices=[*SCENARIOS, GROWTH], metavar="NAME", help="these scenarios (see --list)")
    what.add_argument(
        "--choices",
        nargs="*",
        metavar="NAME",
        help="instead of the scenarios, the shop's settings against what else they could be: these (see --list), or all in a quarter of an hour",
    )
    what.add_argument(
        "--gateway", action="store_true", help="instead of the scenarios, how slow Alipay may be: calls a second, and orders meanwhile"
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="repetitions of everything")
    parser.add_argument(
        "--project", type=Path, action="append", metavar="DIR", help="measure another checkout's code; twice: both, in turns"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / ".local" / "bench", metavar="DIR", help="data and results (default: .local/bench)"
    )
    parser.add_argument("--reset", action="store_true", help="first remove the long histories that earlier runs have left for this one")
    parser.add_argument("--gate", action="store_true", help="exit status 1 when a gate doesn't hold or anything was lost or rejected")
    parser.add_argument("--list", action="store_true", help="list scenarios and choices, and end")
    found = parser.parse_args(argv)
    if found.list:
        _list()
        return None
    if found.gateway:
        from bench import slow_gateway  # noqa: PLC0415 - the chart's library is only needed here

        slow_gateway.measure([path.resolve() for path in found.project or [ROOT]], found.out.resolve(), is_quick=found.quick)
        return None
    if unknown := {*(found.choices or [])} - {*CHOICES}:
        parser.error(f"no such choice: {', '.join(sorted(unknown))}; --list names them")
    choices = [] if found.choices is None else found.choices or [*CHOICES]
    full, quick = (CHOICE_FULL, CHOICE_QUICK) if choices else (FULL, QUICK)
    size = quick if found.quick else full
    if found.repeat:
        size = dataclasses.replace(size, repeats=found.repeat)
    projects = [path.resolve() for path in found.project or [ROOT]]
    return Options(size, found.only or [*SCENARIOS, GROWTH], choices, projects, found.out.resolve(), reset=found.reset, gate=found.gate)


def _list() -> None:
    for title, names in (
        ("scenarios", {**{name: item.says for name, item in SCENARIOS.items()}, GROWTH: GROWTH_SAYS}),
        ("choices", {name: item.says for name, item in CHOICES.items()}),
    ):
        print(f"{title}:")
        for name, says in names.items():
            print(f"  {name:12} {says}")


def _timed(options: Options) -> int:
    started = time.monotonic()
    status = run(options)
    print(f"\nTook {time.monotonic() - started:.0f} s.")
    return status


def _terminate(signum: int, frame: object) -> None:
    """A polite request to end goes the same way as Ctrl-C: every context is left, every process stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
