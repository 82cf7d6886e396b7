"""What a buyer has open is counted with each new order request: two small indexes, of rows that wait only."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("shop", "0008_logins_end_for_good")]

    operations = [
        migrations.AddIndex(
            "orderrequest", models.Index(fields=["account"], condition=Q(status="pending"), name="order_request_pending_of_buyer")
        ),
        migrations.AddIndex("order", models.Index(fields=["account"], condition=Q(status="awaiting_payment"), name="order_unpaid_of_buyer")),
    ]
