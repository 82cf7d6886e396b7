"""Guards in PostgreSQL, as migration operations: they hold for every writer.

Each is a trigger with a condition that PostgreSQL evaluates for each row; its function is only called to
refuse. A refusal is an integrity error that names the trigger as its constraint.
"""

from collections.abc import Collection, Mapping

from django.db.migrations import RunSQL

# The function that all guards call. Its message is the trigger's argument.
REFUSE = RunSQL(
    """
    CREATE FUNCTION shop_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% %', TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
    END $$
    """,
    "DROP FUNCTION shop_refuse()",
)


def allow_moves(table: str, moves: Mapping[str, Collection[str]], *, column: str = "status") -> RunSQL:
    """`column` only changes from a key of `moves` to one of its values. An update to the same value isn't a
    move.

    When the moves change, call this again in a new migration: it replaces the trigger.
    """
    pairs = ", ".join(
        f"('{source}', '{target}')" for source, targets in moves.items() for target in sorted(targets)
    )
    condition = f"OLD.{column} <> NEW.{column} AND (OLD.{column}, NEW.{column}) NOT IN ({pairs})"
    return _guard(
        f"{column}_moves", table, f"UPDATE OF {column}", condition, f"doesn''t allow this move of {column}"
    )


def freeze(table: str, *columns: str) -> RunSQL:
    """These columns can't change after the insert."""
    return _guard(
        "frozen", table, f"UPDATE OF {', '.join(columns)}", _differ(columns), f"keeps {', '.join(columns)}"
    )


def only_rise(table: str, *columns: str) -> RunSQL:
    """These columns never decrease."""
    condition = " OR ".join(f"NEW.{column} < OLD.{column}" for column in columns)
    return _guard(
        "only_rise", table, f"UPDATE OF {', '.join(columns)}", condition, f"never lowers {', '.join(columns)}"
    )


def derive(table: str, *columns: str, source: str) -> list[RunSQL]:
    """These columns start at 0 and are only changed by the trigger on `source`, never by other statements."""
    says = f"moves {', '.join(columns)} only with {source}"
    not_zero = " OR ".join(f"NEW.{column} <> 0" for column in columns)
    return [
        _guard(
            "derived",
            table,
            f"UPDATE OF {', '.join(columns)}",
            f"pg_trigger_depth() = 0 AND {_differ(columns)}",
            says,
        ),
        _guard("derived_from_0", table, "INSERT", not_zero, says),
    ]


def refuse_truncate(table: str) -> RunSQL:
    """The table can't be truncated."""
    return RunSQL(
        f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION "
        f"shop_refuse('is append-only')",
        f"DROP TRIGGER never_emptied ON {table}",
    )


def _differ(columns: Collection[str]) -> str:
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return f"({old}) IS DISTINCT FROM ({new})"


def _guard(name: str, table: str, deed: str, condition: str, says: str) -> RunSQL:
    return RunSQL(
        f"CREATE OR REPLACE TRIGGER {name} BEFORE {deed} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE "
        f"FUNCTION shop_refuse('{says}')",
        f"DROP TRIGGER IF EXISTS {name} ON {table}",
    )
