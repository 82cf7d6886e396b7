"""State that survives a restart: one SQLite file behind one lock."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from payments.simulator.errors import GatewayError
from payments.simulator.schema import SCHEMA, WIPED

Row = sqlite3.Row


class Database:
    """Access to the database within a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: object) -> int:
        """Executes a statement and returns the number of rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def find(self, sql: str, *values: object) -> Row | None:
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def list(self, sql: str, *values: object) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def insert(self, table: str, **columns: object) -> int:
        """Adds a row and returns its rowid. Table and column names come from code, never from a request."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - constants of ours
            tuple(columns.values()),
        )
        return cursor.lastrowid or 0


class Store:
    """The only access to the file.

    One lock serialises all access. Operations take tens of microseconds, and a simulator with races of its
    own would be useless for finding those of a shop. WAL lets other programs read the file meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A crash of the process loses nothing. A power failure could, but there is no real money in here.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(SCHEMA)
        self._database = Database(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """Commits everything or nothing; an inner transaction joins the outer one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._database
            except GatewayError:
                # A refusal is a normal outcome: due expiries and counted faults are kept.
                self._leave("COMMIT")
                raise
            except BaseException:
                self._leave("ROLLBACK")
                raise
            self._leave("COMMIT")

    def _leave(self, ending: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._connection.execute(ending)

    def read_setting(self, name: str) -> Any:
        """The stored JSON value, or None."""
        with self.transaction() as db:
            row = db.find("SELECT value FROM setting WHERE name = ?", name)
        return None if row is None else json.loads(row["value"])

    def write_setting(self, name: str, value: object) -> None:
        with self.transaction() as db:
            db.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, json.dumps(value))

    def wipe(self) -> None:
        with self.transaction() as db:
            for table in WIPED:
                db.run(f"DELETE FROM {table}")  # noqa: S608 -- a constant of ours

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def as_dict(row: Row) -> dict[str, Any]:
    """A row as a dictionary, with its JSON columns decoded."""
    return {key: _opened(key, row[key]) for key in row.keys()}  # noqa: SIM118 -- iterating a Row yields its values


JSON_COLUMNS = frozenset({"fields", "params", "faults", "unknown_fields"})


def _opened(name: str, value: Any) -> Any:
    if name in JSON_COLUMNS:
        return json.loads(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return bool(value) if name.startswith("is_") else value


def dump(value: Mapping[str, object] | list[Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
