"""Counts how often rows were found that should have been done: `shop/domain/floors.py` says what that is for.

Sequences, since a count in a row would leave a dead version for every change as long as a snapshot is held.
"""

from django.db import migrations

TABLES = ("payments_payment", "payments_notification", "payments_refund")


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_seen_and_asked")]
    operations = [
        # Used once: the first value doesn't show as a change.
        migrations.RunSQL(
            f"CREATE SEQUENCE {table}_overlooked; SELECT nextval('{table}_overlooked')", f"DROP SEQUENCE {table}_overlooked"
        )
        for table in TABLES
    ]
