"""Parallel processes take all tests, each group in one piece, and begin with what takes longest."""

from itertools import groupby
from pathlib import Path

import pytest

from tests.mixing import LONGEST, mix


def make_items(parent: pytest.Collector, group: str, count: int) -> list[pytest.Item]:
    items: list[pytest.Item] = [
        pytest.Function.from_parent(parent, name=f"{group}{number}", callobj=mix) for number in range(count)
    ]
    for item in items:
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    return items


def group_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else ""


def test_groups_stand_between_single_tests(request: pytest.FixtureRequest) -> None:
    parent = request.node.parent
    groups = [make_items(parent, name, 3) for name in ("one", LONGEST[2], "two", LONGEST[0])]
    singles = make_items(parent, "", 100)
    items = [*groups[0], *singles[:50], *groups[1], *groups[2], *singles[50:], *groups[3]]

    mixed = mix(items)

    assert sorted(mixed, key=id) == sorted(items, key=id)
    pieces = [(name, len(list(members))) for name, members in groupby(mixed, group_of)]
    assert pieces == [(LONGEST[0], 3), (LONGEST[2], 3), ("", 12), ("one", 3), ("", 12), ("two", 3), ("", 76)]
    assert [item for item in mixed if not group_of(item)] == singles


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_groups_exist(name: str) -> None:
    files = [path.read_text() for path in Path(__file__).parent.glob("*/*.py")]
    assert any("xdist_group" in text and f'"{name}"' in text for text in files)
