"""The gateway's daily bills, and where they differ from the shop's books."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.comparison
import shop.models.fields
from django.conf import settings
from django.db import migrations, models

from payments import states
from shop.models.triggers import allow_moves, freeze


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0012_defaults_of_work'),
        ('shop', '0022_bill_differences'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Bill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('available_at', models.DateTimeField(blank=True, null=True, verbose_name='可处理时间')),
                ('attempts', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='尝试次数')),
                ('last_error', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='最近错误')),
                ('dead_at', models.DateTimeField(blank=True, null=True, verbose_name='放弃时间')),
                ('provider', models.CharField(max_length=16, verbose_name='渠道')),
                ('app_id', models.CharField(max_length=32, verbose_name='应用')),
                ('day', models.DateField(verbose_name='账单日')),
                ('status', models.CharField(choices=[('waiting', '待核对'), ('compared', '已核对')], default='waiting', max_length=16, verbose_name='状态')),
                ('compared_at', models.DateTimeField(blank=True, null=True, verbose_name='核对时间')),
                ('trade_count', models.PositiveIntegerField(default=0, verbose_name='交易笔数')),
                ('trade_total', shop.models.fields.YuanField(default=0, verbose_name='交易金额（元）')),
                ('refund_count', models.PositiveIntegerField(default=0, verbose_name='退款笔数')),
                ('refund_total', shop.models.fields.YuanField(default=0, verbose_name='退款金额（元）')),
                ('fee_total', shop.models.fields.YuanField(default=0, verbose_name='服务费（元）')),
            ],
            options={
                'verbose_name': '对账单',
                'verbose_name_plural': '对账单',
            },
        ),
        migrations.CreateModel(
            name='BillDifference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(choices=[('trade', '交易'), ('refund', '退款'), ('other', '其他')], max_length=8, verbose_name='业务类型')),
                ('kind', models.CharField(choices=[('missing_here', '本店没有'), ('missing_there', '账单没有'), ('other_amount', '金额不一致'), ('other_trade', '交易号不一致'), ('not_done_here', '本店未完成')], max_length=16, verbose_name='差异')),
                ('out_trade_no', models.CharField(max_length=64, verbose_name='商户订单号')),
                ('out_request_no', models.CharField(blank=True, default='', max_length=64, verbose_name='退款请求号')),
                ('trade_no', models.CharField(blank=True, default='', max_length=64, verbose_name='支付宝交易号')),
                ('told_amount', shop.models.fields.YuanField(blank=True, null=True, verbose_name='账单金额（元）')),
                ('our_amount', shop.models.fields.YuanField(blank=True, null=True, verbose_name='本店金额（元）')),
                ('found_at', models.DateTimeField(verbose_name='发现时间')),
                ('asked_at', models.DateTimeField(blank=True, null=True, verbose_name='最近查询时间')),
                ('status', models.CharField(choices=[('open', '待说明'), ('settled', '已自行平账'), ('explained', '已说明')], default='open', max_length=16, verbose_name='状态')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='处理时间')),
                ('why', models.CharField(blank=True, default='', max_length=200, verbose_name='处理说明')),
                ('reference', models.CharField(blank=True, default='', max_length=100, verbose_name='凭据')),
            ],
            options={
                'verbose_name': '对账差异',
                'verbose_name_plural': '对账差异',
            },
        ),
        migrations.CreateModel(
            name='BillEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('trade', '交易'), ('refund', '退款'), ('other', '其他')], max_length=8, verbose_name='业务类型')),
                ('trade_no', models.CharField(max_length=64, verbose_name='支付宝交易号')),
                ('out_trade_no', models.CharField(max_length=64, verbose_name='商户订单号')),
                ('out_request_no', models.CharField(blank=True, default='', max_length=64, verbose_name='退款请求号')),
                ('amount', shop.models.fields.YuanField(verbose_name='金额（元）')),
                ('fee', shop.models.fields.YuanField(verbose_name='服务费（元）')),
            ],
            options={
                'verbose_name': '对账单明细',
                'verbose_name_plural': '对账单明细',
            },
        ),
        migrations.AddIndex(
            model_name='payment',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['paid_at'], name='payment_paid_at'),
        ),
        migrations.AddIndex(
            model_name='bill',
            index=models.Index(django.db.models.functions.comparison.Least('attempts', 1), models.F('available_at'), models.F('id'), condition=models.Q(('available_at__isnull', False)), name='bill_due'),
        ),
        migrations.AddIndex(
            model_name='bill',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['-id'], name='bill_dead'),
        ),
        migrations.AddConstraint(
            model_name='bill',
            constraint=models.UniqueConstraint(fields=('provider', 'app_id', 'day'), name='bill_once_a_day'),
        ),
        migrations.AddConstraint(
            model_name='bill',
            constraint=models.CheckConstraint(condition=models.Q(('refund_total__gte', 0), ('trade_total__gte', 0)), name='bill_totals_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='bill',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('compared_at__isnull', True), ('status', 'waiting')), models.Q(('compared_at__isnull', False), ('status', 'compared')), _connector='OR'), name='bill_status_matches_times'),
        ),
        migrations.AddConstraint(
            model_name='bill',
            constraint=models.CheckConstraint(condition=models.Q(('dead_at__isnull', True), ('available_at__isnull', True), _connector='OR'), name='bill_dead_is_not_due'),
        ),
        migrations.AddField(
            model_name='billdifference',
            name='bill',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='differences', to='payments.bill', verbose_name='对账单'),
        ),
        migrations.AddField(
            model_name='billdifference',
            name='explained_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='处理人'),
        ),
        migrations.AddField(
            model_name='billdifference',
            name='order',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bill_differences', to='shop.order', verbose_name='订单'),
        ),
        migrations.AddField(
            model_name='billdifference',
            name='payment',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.payment', verbose_name='支付'),
        ),
        migrations.AddField(
            model_name='billentry',
            name='bill',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='payments.bill', verbose_name='对账单'),
        ),
        migrations.AddIndex(
            model_name='billdifference',
            index=models.Index(condition=models.Q(('status', 'open')), fields=['-id'], name='bill_difference_open'),
        ),
        migrations.AddConstraint(
            model_name='billdifference',
            constraint=models.UniqueConstraint(fields=('out_trade_no', 'out_request_no', 'subject', 'kind', 'trade_no', 'told_amount', 'our_amount'), name='bill_difference_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='billdifference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('explained_by__isnull', True), ('reference', ''), ('status', 'open'), ('why', '')), models.Q(('ended_at__isnull', False), ('explained_by__isnull', True), ('reference', ''), ('status', 'settled'), ('why', '')), models.Q(('ended_at__isnull', False), ('explained_by__isnull', False), ('status', 'explained'), models.Q(('why', ''), _negated=True)), _connector='OR'), name='bill_difference_status_matches'),
        ),
        migrations.AddIndex(
            model_name='billentry',
            index=models.Index(fields=['out_trade_no'], name='bill_entry_of_trade'),
        ),
        # Used once: the first value doesn't show as a change.
        migrations.RunSQL(
            "CREATE SEQUENCE payments_bill_overlooked; SELECT nextval('payments_bill_overlooked')",
            "DROP SEQUENCE payments_bill_overlooked",
        ),
        allow_moves("payments_bill", states.BILL_MOVES),
        freeze("payments_bill", "provider", "app_id", "day"),
        freeze(
            "payments_billentry", "bill_id", "kind", "trade_no", "out_trade_no", "out_request_no", "amount", "fee"
        ),
        allow_moves("payments_billdifference", states.DIFFERENCE_MOVES),
        freeze(
            "payments_billdifference", "bill_id", "subject", "kind", "out_trade_no", "out_request_no", "trade_no",
            "told_amount", "our_amount", "order_id", "payment_id", "found_at",
        ),
    ]
