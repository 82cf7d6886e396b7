"""No index is redundant: every order writes to all of them, and three times where its row is written three
times.
"""

import pytest
from django.apps import apps
from django.db import connection

# Pairs of full indexes of a table in which the second serves every query that the first serves.
COVERED = """
    WITH plain AS (
        SELECT indexrelid, indrelid, indisunique, string_to_array(indkey::text, ' ') AS columns
        FROM pg_index WHERE indrelid = ANY(%s::regclass[]) AND indpred IS NULL AND indexprs IS NULL
    )
    SELECT one.indexrelid::regclass::text, other.indexrelid::regclass::text
    FROM plain AS one JOIN plain AS other USING (indrelid)
    WHERE one.indexrelid <> other.indexrelid AND NOT one.indisunique
        AND one.columns = other.columns[:cardinality(one.columns)]
"""


def covered(tables: list[str]) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(COVERED, [tables])
        return [(one, other) for one, other in cursor.fetchall()]


@pytest.mark.django_db
def test_no_index_is_covered_by_another() -> None:
    ours = {
        model._meta.db_table
        for app in ("shop", "payments")
        for model in apps.get_app_config(app).get_models()
    }
    # written once for each course or buyer, not for each order
    ours -= {"shop_course", "shop_pricepolicy", "shop_account"}
    assert covered(sorted(ours)) == []


@pytest.mark.django_db
def test_covered_index_is_noticed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX spare ON shop_orderline (order_id)")
    assert covered(["shop_orderline"]) == [("spare", "order_line_one_per_course")]
