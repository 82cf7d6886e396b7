"""The order in which parallel processes take tests: those that wait beside those that compute."""

from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

# These take a minute or more each. One process runs a group from start to end, so they start first.
LONGEST = ("browser", "journeys", "contract")
# All groups have started by the time that this share of the other tests has run, so none is left for the end.
SHARE = 0.6


def mix(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """A group's tests mostly wait for the programs that they have started, and all others mostly compute.

    Run one kind after the other, and the processors idle first and are short later. So single tests are
    spread between the groups.
    """
    groups: dict[str, list[pytest.Item]] = {name: [] for name in LONGEST}
    singles = []
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is None:
            singles.append(item)
        else:
            groups.setdefault(mark.args[0], []).append(item)
    return list(_by_turns(groups, singles))


def _by_turns(groups: dict[str, list[pytest.Item]], singles: list[pytest.Item]) -> Iterator[pytest.Item]:
    others = iter(singles)
    turn = int(len(singles) * SHARE / len(groups))
    for name, members in groups.items():
        if name not in LONGEST:
            yield from islice(others, turn)
        yield from members
    yield from others
