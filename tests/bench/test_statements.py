"""Logged statements of one kind look the same without their values."""

from bench.scenarios.statements import count_statements, normalise


def test_values_are_taken_out() -> None:
    first = normalise("SELECT 1 FROM t WHERE name = 'a' AND id IN (1, 2, 3)")
    assert first == normalise("SELECT 1 FROM t WHERE name = 'b' AND id IN (4)")


def test_begin_and_commit_are_counted_and_told_apart() -> None:
    counted = count_statements("row", ["BEGIN", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "COMMIT"], units=2)
    assert (counted.per_unit, counted.without_transactions) == (2.0, 1.0)
    assert counted.top["INSERT INTO t VALUES (…)"] == 1.0
