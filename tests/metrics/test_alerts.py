"""Each alert's cause is created in a real shop, and a real Prometheus with the shipped rules fires it.

Only the times are shortened.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import Buyer, control, make_bill_due, new_buyer, pay, simple_body
from tests.metrics.conftest import Observed
from tests.metrics.losses import kill_pool_in_the_middle_of_an_order
from tests.metrics.prometheus import Prometheus

# The waits allow Prometheus to see a change, and a cache of five seconds to expire.
pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.xdist_group("metrics"),
    pytest.mark.timeout(400),
]

PATIENCE_S = 90
Undo = contextlib.ExitStack
Make = Callable[[Observed, Undo], None]


@dataclass(frozen=True)
class Cause:
    """What makes an alert fire.

    Causes of one stage don't interfere and are created together; later stages destroy more.
    """

    stage: str
    make: Make


CAUSES: dict[str, Cause] = {}


def cause(stage: str, *alerts: str) -> Callable[[Make], Make]:
    def note(make: Make) -> Make:
        CAUSES.update(dict.fromkeys(alerts, Cause(stage, make)))
        return make

    return note


# --- Rows ---------------------------------------------------------------------------------------------------


def open_order(observed: Observed) -> str:
    """A buyer is at the cashier. Returns the attempt's `out_trade_no`."""
    buyer = new_buyer(observed.stack)
    return buyer.open_cashier(buyer.buy())


def paid_order(observed: Observed) -> tuple[Buyer, str, str]:
    """A buyer, and the numbers of their paid order and its attempt."""
    buyer = new_buyer(observed.stack)
    return buyer, *buyer.buy_paid()


@cause("rows", "DeadRows")
def a_payment_is_given_up(observed: Observed, undo: Undo) -> None:
    """Its last attempt is used up, so the next sweep gives it up."""
    out_trade_no = open_order(observed)
    given_up = (
        "UPDATE payments_payment SET attempts = 300, available_at = now() - interval '1 "
        "second' WHERE out_trade_no = %s"
    )
    observed.stack.rows(given_up, out_trade_no)
    undo.callback(
        observed.stack.rows,
        "UPDATE payments_payment SET dead_at = NULL, available_at = now(), attempts = 0 WHERE dead_at IS "
        "NOT NULL",
    )


@cause("rows", "NotificationsQuarantined")
def a_notification_says_another_amount(observed: Observed, undo: Undo) -> None:
    out_trade_no = open_order(observed)
    control(
        observed.stack,
        "POST",
        "faults",
        {"kind": "change", "params": {"fields": {"total_amount": "0.01"}}, "out_trade_no": out_trade_no},
    )
    pay(observed.stack, out_trade_no)


@cause("rows", "NotificationsRefused")
def somebody_forges_notifications(observed: Observed, undo: Undo) -> None:
    """Repeatedly, since an increase needs two scrapes."""
    _keep_doing(undo, lambda: httpx.post(
        f"{observed.stack.web_url}/api/v1/payments/alipay/notify/", data={"out_trade_no": "1", "sign": "x"},
        trust_env=False, timeout=20
    ), pause_s=0.1)  # fmt: skip


@cause("rows", "RefundsWaiting")
def a_buyer_asks_for_a_refund(observed: Observed, undo: Undo) -> None:
    buyer, number, _ = paid_order(observed)
    buyer.api.post(f"orders/{number}/refunds/", {"reason": "不想学了"})


@cause("rows", "RefundsFailed")
def alipay_refuses_a_refund_for_good(observed: Observed, undo: Undo) -> None:
    # Alipay decides it when the trade is paid; this is the only trade paid meanwhile.
    control(observed.stack, "POST", "faults", {"kind": "not_refundable", "times": 1})
    buyer, number, out_trade_no = paid_order(observed)
    buyer.api.post(f"orders/{number}/refunds/", {"reason": "不想学了"})
    approve = """
        UPDATE payments_refund SET approved_at = now(), available_at = now()
        WHERE payment_id = (SELECT id FROM payments_payment WHERE out_trade_no = %s)
    """
    observed.stack.rows(approve, out_trade_no)


@cause("rows", "RefundsUnexplained")
def somebody_refunds_in_alipays_console(observed: Observed, undo: Undo) -> None:
    _, _, out_trade_no = paid_order(observed)
    control(observed.stack, "POST", f"trades/{out_trade_no}/refund", {"amount": "1.00"})


@cause("rows", "BillDifferences")
def alipays_bill_has_a_trade_that_nobody_knows(observed: Observed, undo: Undo) -> None:
    paid_order(observed)
    control(observed.stack, "POST", "faults", {"kind": "bill_extra"})
    make_bill_due(observed.stack)


@cause("rows", "AuditBroken")
def the_books_are_wrong(observed: Observed, undo: Undo) -> None:
    """An open payment that will never be queried again, and beat's next audit."""
    out_trade_no = open_order(observed)
    observed.stack.rows(
        "UPDATE payments_payment SET available_at = NULL WHERE out_trade_no = %s", out_trade_no
    )
    undo.callback(
        observed.stack.rows,
        "UPDATE payments_payment SET available_at = now() WHERE out_trade_no = %s",
        out_trade_no,
    )
    observed.stack.rows("DELETE FROM shop_turn WHERE name = 'payments.audit'")


@cause("rows", "TasksLost")
def a_pool_process_dies_in_the_middle_of_a_task(observed: Observed, undo: Undo) -> None:
    kill_pool_in_the_middle_of_an_order(new_buyer(observed.stack))


@cause("rows", "RequestsSlow")
def a_table_is_locked_for_long(observed: Observed, undo: Undo) -> None:
    lock = undo.enter_context(psycopg.connect(observed.stack.database_url, autocommit=True))

    def hold() -> None:
        with lock.transaction():
            lock.execute("LOCK TABLE shop_course IN ACCESS EXCLUSIVE MODE")
            time.sleep(2)

    with ThreadPoolExecutor(9) as threads:
        for _ in range(4):
            held = threads.submit(hold)
            time.sleep(0.1)
            list(threads.map(lambda _: _get(observed, "api/v1/courses/"), range(8)))
            held.result()


@cause("rows", "ValkeyFull")
def valkey_fills_up(observed: Observed, undo: Undo) -> None:
    """The last of its stage, since a full Valkey refuses what others need."""
    client = undo.enter_context(observed.stack.broker.container.client)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.85))
    undo.callback(client.config_set, "maxmemory", 0)


# --- Alipay -------------------------------------------------------------------------------------------------


@cause("turned away", "GatewayTurnsAway")
def alipay_knows_no_such_method(observed: Observed, undo: Undo) -> None:
    """The simulator answers as Alipay does to an unknown key or app: an unsigned error."""
    control(observed.stack, "POST", "faults", {"kind": "error_response", "times": None})
    undo.callback(control, observed.stack, "DELETE", "faults")
    for _ in range(3):
        open_order(observed)


@cause("silent", "GatewaySilent", "GatewaySlow", "GatewaySilentForLong")
def alipay_is_silent(observed: Observed, undo: Undo) -> None:
    """And has been for long: ten minutes would be too long for a test."""
    for _ in range(3):
        open_order(observed)
    control(observed.stack, "POST", "faults", {"kind": "hang", "params": {"seconds": 20}, "times": None})
    undo.callback(control, observed.stack, "DELETE", "faults")
    silent = "SELECT count(*) FROM shop_measurement WHERE name = 'gateway_silent'"
    assert wait_until(lambda: bool(observed.stack.value(silent)), timeout_s=PATIENCE_S)
    observed.stack.rows(
        "UPDATE shop_measurement SET taken_at = taken_at - interval '11 minutes' WHERE name = "
        "'gateway_silent'"
    )


# --- Programs -----------------------------------------------------------------------------------------------


@cause("nobody works", "NothingSwept", "WorkLate", "WorkStuck")
def the_worker_hangs(observed: Observed, undo: Undo) -> None:
    stack = observed.stack
    stack.worker.kill("SIGSTOP")
    undo.callback(stack.worker.kill, "SIGCONT")
    number = new_buyer(stack).place(simple_body(stack))
    stack.rows(
        "UPDATE shop_orderrequest SET available_at = now() - interval '301 seconds' WHERE order_number = %s",
        number,
    )


@cause("nobody works", "WorkerDown", "JobOverdue", "AuditOverdue")
def beat_is_dead(observed: Observed, undo: Undo) -> None:
    """For two days."""
    stack = observed.stack
    stack.beat.kill("SIGKILL")
    undo.callback(stack.beat.restart)
    stack.rows("UPDATE shop_turn SET taken_at = taken_at - interval '2 days'")
    stack.rows("UPDATE shop_measurement SET taken_at = taken_at - interval '2 days' WHERE name = 'audit'")


@cause("no database", "DatabaseUnreachable", "RequestsFail", "TasksFail")
def the_database_is_away(observed: Observed, undo: Undo) -> None:
    server, name = observed.stack.database_url.rsplit("/", 1)
    elsewhere = undo.enter_context(psycopg.connect(f"{server}/postgres", autocommit=True))

    def allow(word: str) -> None:
        elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {word}")

    allow("false")
    undo.callback(allow, "true")
    elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    _keep_doing(undo, lambda: _get(observed, "api/v1/courses/"), pause_s=0.2)


@cause("no valkey", "ValkeyUnreachable")
def valkey_is_dead(observed: Observed, undo: Undo) -> None:
    observed.stack.broker.kill("SIGKILL")
    undo.callback(observed.stack.broker.restart)


@cause("no web", "ShopDown")
def web_is_dead(observed: Observed, undo: Undo) -> None:
    observed.stack.web.kill("SIGKILL")
    undo.callback(observed.stack.web.restart)


STAGES = list(dict.fromkeys(cause.stage for cause in CAUSES.values()))


def test_quiet_shop_is_quiet(observed: Observed, prometheus: Prometheus) -> None:
    """All parts have been scraped, and beat's first audit is done."""
    assert wait_until(lambda: len(prometheus.query("up == 1")) == 4, timeout_s=PATIENCE_S)
    assert wait_until(lambda: bool(prometheus.query("audit_age_seconds")), timeout_s=PATIENCE_S)
    assert wait_until(lambda: not prometheus.firing(), timeout_s=PATIENCE_S), prometheus.firing()


@pytest.mark.parametrize("stage", STAGES)
def test_alerts_fire(observed: Observed, prometheus: Prometheus, stage: str) -> None:
    expected = {name for name, cause in CAUSES.items() if cause.stage == stage}
    assert expected.isdisjoint(prometheus.firing())
    seen: set[str] = set()

    def have_all_fired() -> bool:
        seen.update(prometheus.firing())
        return expected <= seen

    started = time.monotonic()
    with Undo() as undo, ThreadPoolExecutor(1) as watcher:
        is_over: list[bool] = []
        watching = watcher.submit(
            lambda: wait_until(lambda: have_all_fired() or bool(is_over), timeout_s=300, poll_s=0.5)
        )
        try:
            for make in dict.fromkeys(CAUSES[name].make for name in CAUSES if CAUSES[name].stage == stage):
                make(observed, undo)
            wait_until(lambda: expected <= seen, timeout_s=PATIENCE_S)
        finally:
            is_over.append(True)
        watching.result()
    print(f"{stage}: {sorted(expected)} within {time.monotonic() - started:.1f} s")
    assert expected - seen == set()
    assert wait_until(observed.stack.is_ready, timeout_s=PATIENCE_S)


def _get(observed: Observed, path: str) -> httpx.Response | None:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{observed.stack.web_url}/{path}", trust_env=False, timeout=20)
    return None


def _keep_doing(undo: Undo, deed: Callable[[], object], *, pause_s: float) -> None:
    """Repeats it in another thread until the cause is undone."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(pause_s):
            deed()

    thread = threading.Thread(target=work)
    thread.start()
    undo.callback(thread.join)
    undo.callback(ended.set)
