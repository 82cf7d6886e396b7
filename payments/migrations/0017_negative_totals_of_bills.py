"""A bill is stored even if it states negative payments; the books differ from those."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0016_reasons_of_notifications'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='bill',
            name='bill_totals_not_negative',
        ),
        migrations.AddConstraint(
            model_name='bill',
            constraint=models.CheckConstraint(condition=models.Q(('refund_total__gte', 0)), name='bill_refund_total_not_negative'),
        ),
    ]
