"""A notification of the usual size is stored in one piece.

Its form and its text take about 2.4 kB together, a little more than PostgreSQL keeps in a row by itself: it
would try to compress both, in vain, and store one of them elsewhere, an eighth of what storing costs.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0013_bills")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE payments_notification SET (toast_tuple_target = 8160)",
            "ALTER TABLE payments_notification RESET (toast_tuple_target)",
        )
    ]
