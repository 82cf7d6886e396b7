"""Counts how often rows were found that should have been done: `shop/domain/floors.py` says what that is for.

Sequences, since a count in a row would leave a dead version for every change as long as a snapshot is held.
"""

from django.db import migrations

TABLES = ("shop_orderrequest", "shop_order")


class Migration(migrations.Migration):
    dependencies = [("shop", "0014_search")]
    operations = [
        # Used once: the first value doesn't show as a change.
        migrations.RunSQL(
            f"CREATE SEQUENCE {table}_overlooked; SELECT nextval('{table}_overlooked')", f"DROP SEQUENCE {table}_overlooked"
        )
        for table in TABLES
    ]
