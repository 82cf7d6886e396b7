"""House rules that no linter checks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from payments.states import ClosedReason, NotificationStatus, PaymentStatus, RefundKind, RefundStatus
from shop.models import LedgerTransfer
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderRequestStatus, OrderStatus

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(
    path
    for app in ("shop", "payments")
    for path in (ROOT / app).rglob("*.py")
    if not {"simulator", "migrations"} & set(path.parts)
)
# Only seconds are floats.
SECONDS = {
    "payments/gateways/pace.py",
    "payments/metrics.py",
    "shop/domain/floors.py",
    "shop/domain/polling/long_poll.py",
    "shop/redis_address.py",
    "shop/valkey.py",
    "shop/wakeup.py",
}
# Read by Celery, Flower, OpenTelemetry, prometheus_client or commands, not by project/settings.py.
READ_ELSEWHERE = {
    "FLOWER_BASIC_AUTH",
    "DEMO_PASSWORD",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PROMETHEUS_MULTIPROC_DIR",
}


def floats(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.expr):
            continue
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
        is_column = isinstance(node, ast.Attribute) and node.attr == "FloatField"
        if is_literal or is_call or is_column:
            yield node.lineno


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_float_comes_near_money(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in SECONDS:
        assert list(floats(path)) == []


def test_the_float_check_finds_floats(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text("price = 19.9\ntotal = float(price)\nx = models.FloatField()\n")
    assert sorted(floats(offender)) == [1, 2, 3]


LOCK = re.compile(
    r"select_for_update|\bFOR (NO KEY )?UPDATE\b|\bFOR (KEY )?SHARE\b|\bLOCK TABLE\b|pg_\w*advisory\w*lock"
)
DOORS = {"shop": "shop/domain/locks.py", "payments": "payments/domain/locks.py"}
LOCKERS = [
    path for path in CODE if path.relative_to(ROOT).parts[0] in DOORS and "migrations" not in path.parts
]


def locks(path: Path) -> list[int]:
    """The lines that lock rows, including comments and docstrings: texts about locks belong to the module of
    locks, too.
    """
    return [
        number
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LOCK.search(line)
    ]


@pytest.mark.parametrize("path", LOCKERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_app_locks_rows_in_one_place(path: Path) -> None:
    assert bool(locks(path)) == (path.relative_to(ROOT).as_posix() in DOORS.values())


def test_the_lock_check_finds_locks(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text(
        "orders.select_for_update()\n'SELECT id FROM t FOR UPDATE SKIP LOCKED'\n'… FOR NO KEY UPDATE'\n'… "
        "FOR KEY SHARE'\n"
        "'LOCK TABLE t'\n'SELECT pg_advisory_xact_lock(1)'\nupdate = 'UPDATE t SET a = 1'\n"
    )
    assert locks(offender) == [1, 2, 3, 4, 5, 6]


PRODUCT = sorted(
    path
    for app in ("shop", "payments", "worker", "project")
    for path in (ROOT / app).rglob("*.py")
    if not {"simulator", "migrations"} & set(path.parts)
)
SQL_DOOR = "shop/domain/sql.py"
# Each may open a cursor for the reason beside it.
CURSORS = {
    SQL_DOOR: "the door itself",
    "shop/clock.py": (
        "below the door, whose statements contain its own; asks the server for the time and names no table"
    ),
    "project/postgres/base.py": (
        "the engine: sets a new connection up and asks an old one whether it still writes"
    ),
    "project/postgres/poolers.py": "finds out what stands behind the connection",
    "project/management/commands/migrate.py": (
        "sets the time-out of the connection that Django's own command uses"
    ),
}


def cursors(path: Path) -> list[int]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )
    return sorted(call.lineno for call in calls if call.func.attr in {"cursor", "raw", "extra"})  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_sql_has_one_door(path: Path) -> None:
    assert bool(cursors(path)) == (path.relative_to(ROOT).as_posix() in CURSORS)


def test_the_cursor_check_finds_cursors(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text(
        "with connection.cursor() as cursor:\n    pass\nOrder.objects.raw('SELECT "
        "1')\nOrder.objects.extra(where=[])\ncursor = 1\n"
    )
    assert cursors(offender) == [1, 3, 4]


# The states of rows, from `states.py` of both apps.
STATES = {
    word.value
    for enum in (
        OrderRequestStatus, OrderStatus, CouponRecordStatus, EnrolmentStatus, PaymentStatus, ClosedReason,
        NotificationStatus, RefundStatus,
        RefundKind, LedgerTransfer.Book, LedgerTransfer.Currency,
    )
    for word in enum
}  # fmt: skip
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE)\b")
# A constant column of a result isn't a state.
SPELLED = re.compile(r"(?<!SELECT )'(\w+)'(?! AS \w+, order_number)")


def spelled_states(path: Path) -> list[str]:
    """States that a statement spells out instead of taking them from their enum."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    ]
    statements = [text for text in texts if isinstance(text, str) and STATEMENT.search(text)]
    return [word for text in statements for word in SPELLED.findall(text) if word in STATES]


# The simulator uses Alipay's terms.
@pytest.mark.parametrize(
    "path",
    [path for path in PRODUCT if "simulator" not in path.parts],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_statements_spell_no_states(path: Path) -> None:
    assert spelled_states(path) == []


def test_the_check_of_statements_finds_states(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text(
        "A = \"UPDATE shop_order SET status = 'paid' WHERE status = 'awaiting_payment'\"\n"
        "B = f\"SELECT {x} FROM t WHERE book IN ('sales', 'elsewhere')\"\nC = 'paid'\nD = \"SELECT "
        '{OrderStatus.PAID}"\n'
    )
    assert spelled_states(offender) == ["paid", "awaiting_payment", "sales"]


def test_every_environment_variable_is_in_the_example() -> None:
    settings = (ROOT / "project/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', settings))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shop_part = example.split("# --- docker-compose")[0]
    assert read | READ_ELSEWHERE == set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", shop_part, re.MULTILINE))


def test_both_readmes_have_the_same_headings_and_commands() -> None:
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    for pattern in (r"^(#+) ", r"`(bin/[^`]+|manage\.py [^`]+)`", r"\]\((docs/[^)]+|CHANGELOG\.md)\)"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)
