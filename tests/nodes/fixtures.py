"""Fixtures of whole shops. Loaded by `tests/stack.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import drop_database
from tests.nodes.shop_stack import ShopStack, build_shop_stack


@pytest.fixture
def start_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., ShopStack]]:
    """Starts a shop with its own settings: `start_shop(ORDER_TTL_S="3")`."""
    stacks: list[ShopStack] = []

    def start(**extra_env: str) -> ShopStack:
        stack = build_shop_stack(tmp_path / f"shop{len(stacks)}", extra_env=extra_env)
        stacks.append(stack)
        stack.start()
        return stack

    yield start
    _put_away(request, stacks)


@pytest.fixture
def shop_stack(start_shop: Callable[..., ShopStack]) -> ShopStack:
    """A shop for this test alone, which may break it.

    Takes seconds to start: a test that breaks nothing uses `shared_shop_stack`.
    """
    return start_shop()


@pytest.fixture(scope="session")
def _shared_shop_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShopStack]:
    stack = build_shop_stack(tmp_path_factory.mktemp("shared") / "shop")
    with stack.running():
        yield stack


@pytest.fixture
def shared_shop_stack(request: pytest.FixtureRequest, _shared_shop_stack: ShopStack) -> Iterator[ShopStack]:
    """One shop for all tests of this process that only buy: they stop nothing and change no setting."""
    yield _shared_shop_stack
    _report_logs(request, [_shared_shop_stack])


def _put_away(request: pytest.FixtureRequest, stacks: list[ShopStack]) -> None:
    _report_logs(request, stacks)
    for stack in stacks:
        stack.stop()
        drop_database(stack.database_url)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Leaves a test's outcome where fixtures find it."""
    report = yield
    item.stash.setdefault(FAILED, False)
    item.stash[FAILED] = item.stash[FAILED] or report.failed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allows whole shops more time, for busy machines. Journeys wait for conditions, so they take no longer
    than necessary.
    """
    for item in items:
        if item.get_closest_marker("journey") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(JOURNEY_TIMEOUT_S))


FAILED = pytest.StashKey[bool]()
JOURNEY_TIMEOUT_S = 300


def _report_logs(request: pytest.FixtureRequest, stacks: list[ShopStack]) -> None:
    if request.node.stash.get(FAILED, False):
        for stack in stacks:
            print(stack.logs())
