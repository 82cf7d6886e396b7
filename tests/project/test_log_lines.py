"""Lines of libraries get missing context, and values that errors quote are removed."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from project.log_lines import write_traceback
from tests.written import Written, written_lines

MAILBOX, PHONE, ORDER = "luffy@mail.example", "13812345678", "20260302120000123ABCDEFGHIJKLM"
ROW = f"(1, {MAILBOX}, {PHONE}, buyer_logon_id=zor***@mail.example)"


@pytest.fixture
def written() -> Iterator[Written]:
    with written_lines() as lines:
        yield lines


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("Task %(name)s[%(id)s] received", ({"id": "i1", "name": "shop.create_orders"},)),
        ("Hard time limit (%ss) exceeded for %s[%s]", (30, "shop.create_orders", "i1")),
    ],
)
def test_celerys_lines_about_a_task_name_it(written: Written, message: str, args: tuple[object, ...]) -> None:
    logging.getLogger("celery.worker.request").error(message, *args)
    [line] = written.lines()
    assert (line["task_id"], line["task_name"]) == ("i1", "shop.create_orders")
    assert "positional_args" not in line


def test_comings_and_goings_of_the_sweep_are_left_out(written: Written) -> None:
    celery = logging.getLogger("celery.app.trace")
    for name in ("worker.sweep", "shop.create_orders"):
        celery.info("Task %(name)s[%(id)s] succeeded", {"id": "i1", "name": name})
    celery.error("Task %(name)s[%(id)s] raised", {"id": "i2", "name": "worker.sweep"})
    assert [(line["task_name"], line["level"]) for line in written.lines()] == [
        ("shop.create_orders", "info"),
        ("worker.sweep", "error"),
    ]


def fail() -> None:
    raise ValueError(f"new row violates a constraint for {MAILBOX}\nDETAIL:  Failing row contains {ROW}.")


def test_errors_are_logged_without_the_values_they_quote(written: Written) -> None:
    try:
        fail()
    except ValueError as error:
        structlog.get_logger("ours").exception("failed", error=str(error), order_number=ORDER)
        logging.getLogger("theirs").exception("failed for %s +86%s %s", MAILBOX, PHONE, ORDER)
    ours, theirs = written.lines()
    for value in (MAILBOX, PHONE, "zor***", "Failing row"):
        assert value not in written.text()
    assert ours["order_number"] == ORDER
    assert ours["exception"].count("ValueError: new row violates a constraint for …") == 1
    assert theirs["event"] == f"failed for … … {ORDER}"


def test_control_without_the_rule_errors_quote_values(caplog: pytest.LogCaptureFixture) -> None:
    """The control: another handler's formatter writes what ours removes."""
    try:
        fail()
    except ValueError:
        logging.getLogger("theirs").exception("failed")
    assert ROW in caplog.text


def test_console_tracebacks_have_no_values_either() -> None:
    out = io.StringIO()
    try:
        fail()
    except ValueError as error:
        write_traceback(out, (ValueError, error, error.__traceback__))
    assert "ValueError: new row violates" in out.getvalue()
    assert MAILBOX not in out.getvalue()
    assert "DETAIL:  …" in out.getvalue()
