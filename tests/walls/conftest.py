"""The shipped web server, and an honest buyer in front of it; and for the walk over all addresses a shop that
is configured for Alipay.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.programs import web_program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.nodes.shop_stack import ShopStack
from tests.payments.conftest import alipay_settings
from tests.walls.latency import Honest, honest
from tests.walls.test_routes import COMBINATIONS

__all__ = ["alipay_settings", "buyer"]

# Instead of CONNECTION_SILENCE_S's default, so that nobody waits for half a minute; `test_shipped_deadlines`
# has the defaults.
SILENCE_S = 4


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints how many combinations the walk over all addresses has tried, so that the figure in the documents
    can be checked.
    """
    reports = [
        report
        for each in terminalreporter.stats.values()
        for report in each
        if getattr(report, "when", "") == "call"
    ]
    tried = sum(value for report in reports for name, value in report.user_properties if name == COMBINATIONS)
    if tried:
        terminalreporter.write_line(f"Walked {tried} {COMBINATIONS}.")


@dataclass(frozen=True)
class Web:
    """The shipped web server with shorter deadlines."""

    pid: int
    port: int


@pytest.fixture
def buyer(shared_shop_stack: ShopStack) -> Iterator[Honest]:
    stack = shared_shop_stack
    with honest(stack.web_url, username="buyer1", password=stack.env["DEMO_PASSWORD"]) as found:
        yield found


@pytest.fixture(scope="module")
def impatient_web(_shared_shop_stack: ShopStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    port = find_free_port()
    web = web_program(port, workers=1)
    env = {
        **_shared_shop_stack.env,
        **web.env,
        "ORDER_STATUS_WAIT_MAX_S": str(SILENCE_S - 1),
        "CONNECTION_SILENCE_S": str(SILENCE_S),
    }
    child = Child(
        name="web",
        argv=web.argv,
        env=env,
        cwd=ROOT,
        log_path=tmp_path_factory.mktemp("impatient") / "web.log",
    )
    child.start()
    try:
        assert wait_until(lambda: is_listening(port), timeout_s=60), child.log_tail()
        yield Web(child.pid, port)
    finally:
        child.kill()
