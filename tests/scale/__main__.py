"""The command line of `bin/scale-test`."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from project.local.errors import LocalError
from project.local.progress import step
from project.local.waiting import wait_until
from tests.scale.buyers import PATIENCE_S, Crowd, Noticed, add_buyers, simple_body
from tests.scale.cases import CASES, Case, no_nginx
from tests.scale.site import Site, open_site, unpaid
from tests.scale.throughput import Rate, measure

THROUGHPUT = "throughput"
BUYERS = 3
# Purchases before the fault, as a baseline, and after it, to show the recovery.
BEFORE, AFTER = 10, 10
FAILED, INCOMPLETE, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    case: Case
    noticed: Noticed
    usual_s: float
    lost: list[str]
    complaint: str

    @property
    def passed(self) -> bool:
        return not self.lost and not self.complaint


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 if all cases ran and nothing was lost, 1 if not, 2 if a case can't
    run here.
    """
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(
        prog="bin/scale-test", description="Two or three of everything; buys while each part fails over."
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*names, THROUGHPUT],
        metavar="NAME",
        help=f"one of {', '.join(names)}, {THROUGHPUT}; again for more",
    )
    parser.add_argument(
        "--keep-logs", type=Path, metavar="FOLDER", help="where the programs' logs of each case are copied to"
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    wanted = options.only or [*names, THROUGHPUT]
    if missing := no_nginx():
        print(f"Missing: {missing}", file=sys.stderr)
        return INCOMPLETE
    skipped = {case.name: case.missing() for case in CASES if case.name in wanted and case.missing()}
    for name, what in skipped.items():
        print(f"{name} can't run here. Missing: {what}", flush=True)
    try:
        outcomes, rates = _run(
            [case for case in CASES if case.name in wanted and case.name not in skipped],
            THROUGHPUT in wanted,
            options.keep_logs,
        )
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    _print_table(outcomes, rates)
    if not all(outcome.passed for outcome in outcomes):
        return FAILED
    return INCOMPLETE if skipped else 0


def _run(cases: Sequence[Case], has_throughput: bool, logs: Path | None) -> tuple[list[Outcome], list[Rate]]:
    outcomes: list[Outcome] = []
    rates: list[Rate] = []
    with _folder() as folder, contextlib.ExitStack() as stack:
        with step("PostgreSQL with the demo's shop"):
            site = stack.enter_context(open_site(folder / "site"))
        if has_throughput:
            with step("Throughput of 1, 2 and 3 worker processes, 1 and 2 web instances"):
                rates = measure(site, folder / THROUGHPUT)
        for case in cases:
            started = time.monotonic()
            print(f"{case.name}: {case.title} …", end="", flush=True)
            outcomes.append(_run_case(site, case, folder / case.name))
            print(f" {time.monotonic() - started:.0f} s, {_said(outcomes[-1])}", flush=True)
            if logs is not None:
                shutil.copytree(
                    site.folder,
                    logs / case.name,
                    ignore=shutil.ignore_patterns("postgres", "simulator"),
                    dirs_exist_ok=True,
                )
    return outcomes, rates


def _run_case(site: Site, case: Case, folder: Path) -> Outcome:
    noticed, usual_s, complaint, lost = Noticed(), 0.0, "", []
    try:
        with case.prepare(site, folder) as setup:
            with site.running(setup.env):
                names = add_buyers(site.postgres.url(), BUYERS)
                with Crowd(
                    site.url, names, site.env["DEMO_PASSWORD"], simple_body(site.postgres.url())
                ) as crowd:
                    noticed = crowd.noticed
                    usual_s = _buy_before(crowd)
                    setup.fail()
                    if not crowd.wait_for(AFTER):
                        complaint = f"buying didn't go on within {PATIENCE_S:.0f} s"
                lost = _wait_for_all(setup.postgres.url(), noticed)
            site.manage(
                "audit", env={**setup.env, "DATABASE_URL": setup.postgres.url(), "DATABASE_POOLER": ""}
            )
    except LocalError as error:
        complaint = str(error)
    return Outcome(case, noticed, usual_s, lost, complaint)


def _buy_before(crowd: Crowd) -> float:
    """How long a purchase normally takes, without the programs' warm-up.

    Raises: LocalError when nothing can be bought.
    """
    if not crowd.wait_for(BEFORE):
        raise LocalError(f"nothing could be bought before anything failed: {crowd.noticed.errors[-1:]}")
    usual_s = crowd.noticed.median_s
    crowd.noticed.errors.clear()
    crowd.noticed.seconds.clear()
    return usual_s


def _wait_for_all(database_url: str, noticed: Noticed) -> list[str]:
    """Waits for all accepted orders; returns those that don't become exactly one paid order."""
    wait_until(lambda: not unpaid(database_url, noticed.accepted), timeout_s=PATIENCE_S, poll_s=0.5)
    return unpaid(database_url, noticed.accepted)


def _said(outcome: Outcome) -> str:
    noticed = outcome.noticed
    told = (
        f"{len(noticed.seconds)} bought, {len(noticed.errors)} errors, slowest "
        f"{noticed.slowest_s:.1f} s, lost: {len(outcome.lost)}"
    )
    return told + (f"; FAILED: {outcome.complaint or outcome.lost}" if not outcome.passed else "")


def _print_table(outcomes: Sequence[Outcome], rates: Sequence[Rate]) -> None:
    if outcomes:
        print(
            "\n| what failed while buyers bought | orders | errors seen | usual | slowest | lost "
            "|\n|---|---|---|---|---|---|"
        )
        for outcome in outcomes:
            seen = outcome.noticed
            cells = [
                outcome.case.title,
                str(len(seen.accepted)),
                str(len(seen.errors)),
                f"{outcome.usual_s:.1f} s",
                f"{seen.slowest_s:.1f} s",
            ]
            print(f"| {' | '.join([*cells, str(len(outcome.lost))])} |")
    if rates:
        print("\n| orders | per second |\n|---|---|")
        for rate in rates:
            print(f"| {rate.what} | {rate.per_s:,.0f} |")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """One folder for everything, removed at the end.

    PostgreSQL may have to run as another user, who needs access.
    """
    folder = Path(tempfile.mkdtemp(prefix="course-shop-scale-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
