"""Fault rules: which fault applies to which event."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from payments.simulator.fault_kinds import KINDS
from payments.simulator.fault_params import read_params
from payments.simulator.settings import STATUSES, SettingsBook
from payments.simulator.store import Row, Store, dump

FILTERS = ("out_trade_no", "app_id", "method", "trade_status")


@dataclass(frozen=True)
class Event:
    """What rules filter by; an empty filter matches everything."""

    app_id: str = ""
    out_trade_no: str = ""
    method: str = ""
    trade_status: str = ""


@dataclass(frozen=True)
class Fault:
    """A rule that hit an event."""

    kind: str
    params: dict[str, Any]


class Faults:
    """The rules in force.

    Whether a rule with a probability hits its n-th matching event is a pure function of seed, rule and n: the
    same rules and events in the same order always give the same faults.
    """

    def __init__(self, store: Store, settings: SettingsBook) -> None:
        self._store = store
        self._settings = settings
        with store.transaction() as db:
            # Most runs have no rules, and then no query is made.
            self._count = len(db.list("SELECT fault_id FROM fault"))

    @property
    def has_rules(self) -> bool:
        """Whether any rule is set, even one that is spent."""
        return self._count > 0

    def add(self, rule: Mapping[str, Any]) -> Row:
        """Stores a rule and returns it. Raises ValueError with the reason if it is invalid."""
        columns = _checked(rule, self._settings.current.seed)
        with self._store.transaction() as db:
            fault_id = db.insert("fault", **columns)
            row = db.find("SELECT * FROM fault WHERE fault_id = ?", fault_id)
            self._count += 1
        if row is None:
            raise LookupError(f"fault {fault_id} vanished")
        return row

    def list_rules(self) -> list[Row]:
        with self._store.transaction() as db:
            return db.list("SELECT * FROM fault ORDER BY fault_id")

    def remove(self, fault_id: int | None = None) -> int:
        """Removes one rule, or all; returns the number of rules removed."""
        with self._store.transaction() as db:
            everything = fault_id is None
            removed = db.run("DELETE FROM fault WHERE ? OR fault_id = ?", everything, fault_id)
            self._count -= removed
        return removed

    def forget(self) -> None:
        """Called after a wipe, which has emptied the table."""
        self._count = 0

    def has(self, kind: str) -> bool:
        """Whether there is a rule of this kind, spent or not."""
        return self._count > 0 and any(row["kind"] == kind for row in self.list_rules())

    def take(self, category: str, event: Event, kinds: Iterable[str] = ()) -> Fault | None:
        """The first rule of a category (or of certain kinds) that hits this event; the hit is counted."""
        hits = self._hits(category, event, frozenset(kinds), only_first=True)
        return hits[0] if hits else None

    def take_all(self, category: str, event: Event, kinds: Iterable[str] = ()) -> list[Fault]:
        """All rules that hit this event, in the order in which they were added."""
        return self._hits(category, event, frozenset(kinds), only_first=False)

    def _hits(self, category: str, event: Event, kinds: frozenset[str], *, only_first: bool) -> list[Fault]:
        if not self.has_rules:
            return []
        hits = []
        with self._store.transaction() as db:
            for row in db.list("SELECT * FROM fault WHERE category = ? ORDER BY fault_id", category):
                if (kinds and row["kind"] not in kinds) or not _is_match(row, event) or _is_spent(row):
                    continue
                is_hit = row["seen"] >= row["skip"] and _draw(row) < row["probability"]
                db.run(
                    "UPDATE fault SET seen = seen + 1, hits = hits + ? WHERE fault_id = ?",
                    int(is_hit),
                    row["fault_id"],
                )
                if is_hit:
                    hits.append(Fault(row["kind"], json.loads(row["params"])))
                    if only_first:
                        break
        return hits


def _is_match(row: Row, event: Event) -> bool:
    return all(row[name] in ("", getattr(event, name)) for name in FILTERS)


def _is_spent(row: Row) -> bool:
    return row["times"] is not None and row["hits"] >= row["times"]


def _draw(row: Row) -> float:
    text = f"{row['seed']}:{row['kind']}:{row['seen']}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _checked(rule: Mapping[str, Any], seed: str) -> dict[str, Any]:
    kind = KINDS.get(str(rule.get("kind", "")))
    if kind is None:
        raise ValueError(f"no fault is called {rule.get('kind')!r}; there are {', '.join(KINDS)}")
    allowed = {"kind", "probability", "skip", "times", "params", "seed", *FILTERS}
    if unknown := set(rule) - allowed:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; a rule has {', '.join(sorted(allowed))}")
    params = read_params(kind, rule.get("params", {}))
    probability, skip, times = rule.get("probability", 1.0), rule.get("skip", 0), rule.get("times", 1)
    if type(probability) not in (int, float) or not 0 < probability <= 1:
        raise ValueError("probability is a number above 0, up to 1")
    if type(skip) is not int or skip < 0 or not (times is None or (type(times) is int and times > 0)):
        raise ValueError("skip is a whole number from 0, times one from 1, or null for always")
    filters = {name: rule.get(name, "") for name in FILTERS}
    if not all(isinstance(value, str) for value in filters.values()):
        raise ValueError(f"{', '.join(FILTERS)} are texts")
    if useless := [name for name, value in filters.items() if value and name not in kind.filters]:
        raise ValueError(f"{kind.name} can be narrowed by {', '.join(kind.filters)}, not by {useless[0]}")
    if filters["trade_status"] not in ("", *STATUSES):
        raise ValueError(f"trade_status is one of {', '.join(STATUSES)}")
    return {
        "kind": kind.name,
        "category": kind.category,
        "probability": probability,
        "skip": skip,
        "times": times,
        "params": dump(params),
        "seed": str(rule.get("seed", seed)),
        **filters,
    }
