"""Each transfer names its currency. Stored rows get theirs from their books without an update, which their trigger would refuse."""

from django.db import migrations, models
from django.db.models.functions import Floor

from shop.models.fields import YuanField

_BEILI = ["beili_issued", "beili_available", "beili_held", "beili_spent"]
_CNY = ["alipay_cash", "coupon_subsidy", "beili_redeemed", "sales", "unapplied", "refunds"]
_ADD = f"""
    ALTER TABLE shop_ledgertransfer ADD COLUMN currency varchar(5) NOT NULL
        GENERATED ALWAYS AS (CASE WHEN debit IN ({", ".join(f"'{book}'" for book in _BEILI)}) THEN 'BEILI' ELSE 'CNY' END) STORED;
    ALTER TABLE shop_ledgertransfer ALTER COLUMN currency DROP EXPRESSION;
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_one_index_for_one_purpose")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(_ADD, "ALTER TABLE shop_ledgertransfer DROP COLUMN currency")],
            [
                migrations.AddField(
                    "ledgertransfer",
                    "currency",
                    models.CharField(choices=[("CNY", "元"), ("BEILI", "贝里")], max_length=5, verbose_name="币种"),
                    preserve_default=False,
                )
            ],
        ),
        migrations.AlterField("ledgertransfer", "amount", YuanField(verbose_name="数额")),
        migrations.RemoveConstraint("ledgertransfer", "transfer_within_one_currency"),
        migrations.AddConstraint(
            "ledgertransfer",
            models.CheckConstraint(
                condition=models.Q(currency="BEILI", debit__in=_BEILI, credit__in=_BEILI, account__isnull=False)
                | models.Q(currency="CNY", debit__in=_CNY, credit__in=_CNY),
                name="transfer_within_one_currency",
            ),
        ),
        migrations.AddConstraint(
            "ledgertransfer",
            models.CheckConstraint(
                condition=models.Q(currency="CNY") | models.Q(amount=Floor("amount")), name="transfer_whole_beili"
            ),
        ),
    ]
