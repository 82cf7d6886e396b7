"""How many SQL statements something takes, and which ones."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LISTS = re.compile(r"\((?:\$\d+|'[^']*'|[\d.]+|NULL|,|\s|::\w+)*\)")
_LITERALS = re.compile(r"'[^']*'|\b\d+\b")
SHOWN_CHARS = 160


@dataclass(frozen=True)
class Counted:
    """Statements per unit: all, those besides BEGIN and COMMIT, and the most frequent ones with the numbers and texts taken out."""

    row: str
    per_unit: float
    without_transactions: float
    top: Mapping[str, float]


def count_statements(row: str, statements: Sequence[str], *, units: int) -> Counted:
    """Counts logged statements over `units` orders or requests."""
    kinds = Counter(normalise(statement) for statement in statements)
    control = sum(count for kind, count in kinds.items() if kind.split(" ")[0] in {"BEGIN", "COMMIT", "ROLLBACK"})
    total = sum(kinds.values())
    return Counted(row, total / units, (total - control) / units, {kind: count / units for kind, count in kinds.most_common(25)})


def normalise(statement: str) -> str:
    """The statement without its values, so that those of one kind look the same."""
    return _LITERALS.sub("?", _LISTS.sub("(…)", statement))[:SHOWN_CHARS].strip()
