"""Finds handled notifications that still hold personal data, and nothing else: rows leave the index when they are redacted."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_guards")]

    operations = [
        migrations.AddIndex(
            "notification",
            models.Index(
                fields=["handled_at"], condition=Q(status__in=["applied", "ignored"]) & ~Q(raw_body=""), name="notification_personal_data"
            ),
        ),
    ]
