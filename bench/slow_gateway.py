"""What Alipay's slowness costs: calls that the shop makes of it, and how long orders and notifications take meanwhile.

`bin/bench --gateway`. The simulator's own process answers after so many milliseconds or never; a backlog of orders whose time is over, each with a
trade that its buyer has begun, has to be asked about and closed, while others order and pay at a steady rate.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.calibration import Calibration
from bench.client import Plan, Result
from bench.figures import percentile
from bench.opening import load_history, open_stage, remove_stage
from bench.past import PlacedOrder, add_orders
from bench.scenarios.notify import plan_notifications
from bench.scenarios.orders import PATH
from bench.scenarios.outcome import read_outcome
from bench.stage import Stage
from bench.world import APP_ID, SELLER_ID, add_buyers, unit_quote
from project.local.child import Child
from project.local.errors import LocalError
from project.local.programs import simulator_program
from project.local.state import ROOT
from project.local.waiting import wait_until

HANGS = -1
LATENCIES_MS, CONCURRENCIES = (0, 50, 200, 1000, HANGS), (8, 32, 64)
QUICK_LATENCIES_MS, QUICK_CONCURRENCIES = (0, 200, HANGS), (64,)
BACKLOG, WINDOW_S, RATE = 3000, 20.0, 5.0
READY_TIMEOUT_S = 90
EXPIRING = 5000


@dataclass(frozen=True)
class Cell:
    """One run. `latency_ms` is HANGS for a gateway that never answers; `concurrency` None where all work shares a worker."""

    label: str
    latency_ms: int
    concurrency: int | None
    calls_per_s: float
    closed_per_s: float
    orders_ms: Sequence[float]
    paid_ms: Sequence[float]


def run_cells(
    label: str, project: Path, folder: Path, *, latencies: Sequence[int], concurrencies: Sequence[int], backlog: int = BACKLOG
) -> Iterator[Cell]:
    """The cells of one checkout, the quiet one (no backlog, concurrency 0) first."""
    remove_stage(folder)
    with (
        open_stage(label, project=project, folder=folder, calibration=Calibration(folder.parent / "speed.json")) as stage,
        _simulator(stage) as simulator,
    ):
        load_history(stage, 2000)
        has_gateway = "gateway" in stage.children
        stage.start("web", "beat")
        yield _run(stage, simulator, latency_ms=0, concurrency=0 if has_gateway else None, backlog=0)
        for concurrency in concurrencies if has_gateway else [None]:
            for latency_ms in latencies:
                yield _run(stage, simulator, latency_ms=latency_ms, concurrency=concurrency, backlog=backlog)


@dataclass
class Simulator:
    """The simulator's process, and its database."""

    url: str
    folder: Path

    def delay(self, latency_ms: int) -> None:
        with httpx.Client(base_url=f"{self.url}/control", trust_env=False, timeout=30) as client:
            client.delete("faults").raise_for_status()
            if latency_ms == HANGS:
                rule: dict[str, Any] = {"kind": "hang", "params": {"seconds": 60}}
            else:
                rule = {"kind": "slow", "params": {"seconds": latency_ms / 1000}}
            if latency_ms:
                client.post("faults", json={**rule, "times": None}).raise_for_status()

    def count_calls(self) -> int:
        with self._connect() as connection:
            return int(connection.execute("SELECT coalesce(max(request_id), 0) FROM gateway_request").fetchone()[0])

    def begin_trades(self, orders: Sequence[PlacedOrder]) -> None:
        """Their buyers have shown up at the cashier."""
        fen, now = int(unit_quote().cash_due * 100), time.time()
        with self._connect() as connection:
            connection.executemany(
                """
                INSERT INTO trade (trade_no, app_id, product, out_trade_no, status, total_fen, subject, body, passback_params, notify_url,
                    return_url, charset, seller_id, seller_email, buyer_id, buyer_logon_id, created_at, expires_at)
                VALUES (?, ?, 'page', ?, 'WAIT_BUYER_PAY', ?, 'x', '', '', '', '', 'utf-8', ?, '', '2088622958603995', 'b***@x.cn', ?, ?)
                """,
                [
                    (f"20260302220015{order.buyer.account_id:014}", APP_ID, order.out_trade_no, fen, SELLER_ID, now, now + 86400)
                    for order in orders
                ],
            )

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.folder / "simulator.sqlite3", timeout=30)) as connection, connection:
            yield connection


@contextlib.contextmanager
def _simulator(stage: Stage) -> Iterator[Simulator]:
    """This checkout's, whatever is measured: it is the other side."""
    address = urlsplit(stage.env["ALIPAY_GATEWAY_URL"])
    program = simulator_program(int(address.port or 0), stage.folder / "simulator")
    child = Child("simulator", program.argv, stage.folder / "simulator.log", cwd=ROOT, env={**stage.env, "PYTHONPATH": str(ROOT)})
    child.start()
    try:
        url = f"http://{address.netloc}"
        assert wait_until(lambda: _is_up(url), timeout_s=30)
        yield Simulator(url, stage.folder / "simulator")
    finally:
        child.stop(5)


def _is_up(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    return False


def _run(stage: Stage, simulator: Simulator, *, latency_ms: int, concurrency: int | None, backlog: int) -> Cell:
    count = int(WINDOW_S * RATE)
    expiring = add_orders(stage.connect, backlog, is_paid=False) if backlog else []
    paying = add_orders(stage.connect, count, is_paid=False)
    simulator.begin_trades(expiring)
    simulator.delay(latency_ms)
    if concurrency is not None:
        stage.children["gateway"].env = {**stage.described.programs["gateway"].env, "GATEWAY_CONCURRENCY": str(concurrency or 64)}
    workers = ("worker",) if concurrency is None else ("worker", "gateway")
    stage.start(*workers)
    _wait_until_consuming(stage, len(workers))
    with stage.connect() as connection:
        buyers = add_buyers(connection, count)
        stage.tidy_up(connection)
        orders = Plan(stage.web_port, [buyer.order_request(PATH) for buyer in buyers], 16, RATE)
        with stage.client(orders) as ordering, stage.client(plan_notifications(stage, paying, rate=RATE), "payer") as paying_client:
            _expire(connection, expiring)
            calls, started = simulator.count_calls(), time.time()
            told: list[Result] = []
            payer = threading.Thread(target=lambda: told.append(paying_client.run()))
            payer.start()
            ordering.run()
            payer.join()
            wait_until(lambda: time.time() >= started + WINDOW_S, timeout_s=WINDOW_S)
            calls, closed, took_s = simulator.count_calls() - calls, _count_closed(connection, expiring), time.time() - started
        # What the backlog held up is waited for; it counts.
        stage.wait_drained(connection, "shop_orderrequest")
        stage.wait_drained(connection, "payments_notification")
        cell = Cell(
            stage.label,
            latency_ms,
            concurrency,
            calls / took_s,
            closed / took_s,
            read_outcome(connection, buyers).latencies_ms,
            _read_paid_ms(connection, paying, told[0]),
        )
        stage.stop(*workers)  # nobody writes while the next run is prepared
        connection.execute("UPDATE shop_order SET available_at = NULL WHERE available_at IS NOT NULL")
        connection.execute("UPDATE payments_payment SET available_at = NULL WHERE available_at IS NOT NULL")
    return cell


def _wait_until_consuming(stage: Stage, count: int) -> None:
    """Returns when so many workers wait for messages."""

    def is_so() -> bool:
        with stage.valkey_client(stage.broker_database) as client:
            waiting = [entry for entry in client.client_list() if entry["cmd"] == "brpop" and entry["db"] == str(stage.broker_database)]
        return len(waiting) >= count

    if not wait_until(is_so, timeout_s=READY_TIMEOUT_S, poll_s=0.2):
        raise LocalError(f"{count} workers of {stage.label} did not start within {READY_TIMEOUT_S} s")


def _expire(connection: psycopg.Connection[Any], orders: Sequence[PlacedOrder]) -> None:
    connection.execute(
        """
        UPDATE shop_order SET expires_at = now() - interval '2 minutes', closes_at = now(), available_at = now(), attempts = 0
        WHERE order_number = ANY(%s)
        """,
        [[order.order_number for order in orders]],
    )


def _count_closed(connection: psycopg.Connection[Any], orders: Sequence[PlacedOrder]) -> int:
    numbers = [order.order_number for order in orders]
    row = connection.execute("SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND status = 'expired'", [numbers]).fetchone()
    assert row is not None
    return int(row[0])


def _read_paid_ms(connection: psycopg.Connection[Any], orders: Sequence[PlacedOrder], told: Result) -> list[float]:
    """From the notification's sending to the commit that made its order paid."""
    sent_at = {order.order_number: at for order, at in zip(orders, told.sent_at, strict=True)}
    rows = connection.execute(
        """
        SELECT order_number, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM shop_order
        WHERE order_number = ANY(%s) AND status = 'paid'
        """,
        [list(sent_at)],
    ).fetchall()
    assert len(rows) == len(orders), f"{len(orders) - len(rows)} orders are not paid"
    return [1000 * (at - sent_at[number]) for number, at in rows]


def time_closing(label: str, project: Path, folder: Path, *, count: int, latency_ms: int, patience_s: float) -> str:
    """How long it takes to close so many expiring orders, with orders and payments going on."""
    remove_stage(folder)
    with (
        open_stage(label, project=project, folder=folder, calibration=Calibration(folder.parent / "speed.json")) as stage,
        _simulator(stage) as simulator,
    ):
        load_history(stage, 2000)
        workers = ("worker", *({"gateway"} & {*stage.children}))
        stage.start("web", "beat", *workers)
        _wait_until_consuming(stage, len(workers))
        expiring = add_orders(stage.connect, count, is_paid=False)
        simulator.begin_trades(expiring)
        simulator.delay(latency_ms)
        with stage.connect() as connection:
            buyers = add_buyers(connection, int(patience_s * 2))
            stage.tidy_up(connection)
            _expire(connection, expiring)
            started = time.time()
            plan = Plan(stage.web_port, [buyer.order_request(PATH) for buyer in buyers], 4, 2.0)
            with stage.client(plan) as client:
                load = threading.Thread(target=client.run)
                load.start()
                is_over = wait_until(lambda: _count_closed(connection, expiring) == count, timeout_s=patience_s, poll_s=0.5)
                took_s, closed = time.time() - started, _count_closed(connection, expiring)
                load.join()
            stage.wait_drained(connection, "shop_orderrequest")
            created = read_outcome(connection, buyers).latencies_ms
    ended = f"closed in {took_s:.0f} s" if is_over else f"{closed} closed in {took_s:.0f} s"
    return (
        f"{label}: {count} expiring at {latency_ms} ms a call, 2 orders/s: {ended}; accepted → created p50 {percentile(created, 0.5):.0f} ms, "
        f"p99 {percentile(created, 0.99):.0f} ms"
    )


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Calls a second by latency and concurrency, and how long orders and notifications took meanwhile."""
    figure = Figure(figsize=(13, 4.6), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    busy = [cell for cell in cells if cell.concurrency != 0]
    latencies = sorted({cell.latency_ms for cell in busy}, key=lambda latency: (latency == HANGS, latency))
    names = ["hangs" if latency == HANGS else f"{latency} ms" for latency in latencies]
    ways = sorted({(cell.label, cell.concurrency or 0) for cell in busy})
    panels = (
        ("Calls of Alipay a second", lambda cell: cell.calls_per_s),
        ("Accepted → created, p95 in ms", lambda cell: percentile(cell.orders_ms, 0.95)),
        ("Notification → paid, p95 in ms", lambda cell: percentile(cell.paid_ms, 0.95)),
    )
    for number, (title, read) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 3, number)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
        for way in ways:
            mine = {cell.latency_ms: read(cell) for cell in busy if (cell.label, cell.concurrency or 0) == way}
            label = f"{way[0]}: {f'{way[1]} in flight' if way[1] else 'one worker for all'}"
            axes.plot(names, [mine.get(latency, float("nan")) for latency in latencies], marker="o", label=label)
        axes.set_yscale("symlog", linthresh=10)
        axes.set_xlabel("an answer of Alipay takes")
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path)


def measure(projects: Sequence[Path], folder: Path, *, is_quick: bool) -> None:
    """Measures each checkout, prints its figures and draws them into `folder`."""
    cells: list[Cell] = []
    latencies, concurrencies = (QUICK_LATENCIES_MS, QUICK_CONCURRENCIES) if is_quick else (LATENCIES_MS, CONCURRENCIES)
    folder.mkdir(parents=True, exist_ok=True)
    for project in projects:
        for cell in run_cells(project.name, project, folder / f"gateway-{project.name}", latencies=latencies, concurrencies=concurrencies):
            cells.append(cell)
            print(describe(cell), flush=True)
        if not is_quick:
            print(
                time_closing(project.name, project, folder / f"closing-{project.name}", count=EXPIRING, latency_ms=200, patience_s=180),
                flush=True,
            )
    draw(cells, folder / "gateway.png")
    print(f"{folder / 'gateway.png'}")


def describe(cell: Cell) -> str:
    latency = "hangs" if cell.latency_ms == HANGS else f"{cell.latency_ms} ms"
    where = {None: "one worker for all", 0: "quiet"}.get(cell.concurrency, f"{cell.concurrency} in flight")
    parts = [
        f"{name} p50 {percentile(values, 0.5):.0f}, p95 {percentile(values, 0.95):.0f} ms"
        for name, values in (("created", cell.orders_ms), ("paid", cell.paid_ms))
    ]
    return f"{cell.label:10} {latency:>8} {where:20} {cell.calls_per_s:7.1f} calls/s {cell.closed_per_s:6.1f} closed/s  {'  '.join(parts)}"
