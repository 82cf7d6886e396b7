"""Refunds known by their numbers, whoever made them; why a payment is closed; what a notification was proven by."""

import django.db.models.deletion
import django.db.models.expressions
import shop.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0003_one_index_for_one_purpose'),
        ('shop', '0007_books_of_external_refunds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_status_matches_times',
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_says_why_not_applied',
        ),
        migrations.RemoveConstraint(
            model_name='payment',
            name='payment_refunds_within_amount',
        ),
        migrations.RemoveConstraint(
            model_name='payment',
            name='payment_status_matches_times',
        ),
        migrations.RemoveConstraint(
            model_name='refund',
            name='refund_status_matches_times',
        ),
        migrations.RemoveConstraint(
            model_name='refund',
            name='refund_one_per_surplus_payment',
        ),
        migrations.RemoveConstraint(
            model_name='refund',
            name='refund_out_request_no',
        ),
        migrations.AddField(
            model_name='notification',
            name='told_status',
            field=models.CharField(blank=True, db_default='', default='', max_length=16, verbose_name='交易状态（统一）'),
        ),
        migrations.AddField(
            model_name='notification',
            name='first_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='首次隔离原因'),
        ),
        migrations.AddField(
            model_name='notification',
            name='verified_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='验签公钥'),
        ),
        migrations.AddField(
            model_name='payment',
            name='closed_reason',
            field=models.CharField(blank=True, choices=[('never_paid', '未支付'), ('given_back', '已全额退回')], db_default='', default='', max_length=16, verbose_name='关闭原因'),
        ),
        migrations.AddField(
            model_name='payment',
            name='external_refunded',
            field=shop.models.fields.YuanField(db_default=0, default=0, verbose_name='渠道侧已退（元）'),
        ),
        migrations.AddField(
            model_name='payment',
            name='refund_told',
            field=shop.models.fields.YuanField(db_default=0, default=0, verbose_name='渠道告知已退（元）'),
        ),
        migrations.AddField(
            model_name='refund',
            name='decided_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='处理人'),
        ),
        migrations.AddField(
            model_name='refund',
            name='explained_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='说明时间'),
        ),
        migrations.AddField(
            model_name='refund',
            name='explanation',
            field=models.CharField(blank=True, choices=[('whole', '整单退款'), ('lines', '所选课程'), ('goodwill', '善意补偿'), ('request', '已有退款申请'), ('surplus', '多付退回')], db_default='', default='', max_length=16, verbose_name='说明'),
        ),
        migrations.AddField(
            model_name='refund',
            name='reference',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='凭据'),
        ),
        migrations.AddField(
            model_name='refundline',
            name='beili_amount',
            field=shop.models.fields.YuanField(default=0, verbose_name='退回贝里价值（元）'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='refundline',
            name='cash_amount',
            field=shop.models.fields.YuanField(default=0, verbose_name='退回现金（元）'),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name='notification',
            name='status',
            field=models.CharField(choices=[('received', '已收到'), ('asked', '待查询'), ('applied', '已生效'), ('ignored', '已忽略'), ('quarantined', '待人工处理')], default='received', max_length=16, verbose_name='状态'),
        ),
        migrations.AlterField(
            model_name='payment',
            name='status',
            field=models.CharField(choices=[('open', '待支付'), ('paid', '已支付'), ('closed', '已关闭')], default='open', max_length=16, verbose_name='状态'),
        ),
        migrations.AlterField(
            model_name='refund',
            name='kind',
            field=models.CharField(choices=[('order', '订单退款'), ('surplus', '多付退回'), ('external', '渠道侧退款')], max_length=16, verbose_name='类型'),
        ),
        migrations.AlterField(
            model_name='refund',
            name='status',
            field=models.CharField(choices=[('reported', '待核实'), ('requested', '待处理'), ('sent', '退款中'), ('unknown', '结果待确认'), ('succeeded', '已退款'), ('failed', '退款失败'), ('rejected', '已拒绝'), ('paid_elsewhere', '已另行退款')], default='requested', max_length=16, verbose_name='状态'),
        ),
        # What stands there was closed unpaid, and gave each line back whole.
        migrations.RunSQL(
            "UPDATE payments_payment SET closed_reason = 'never_paid' WHERE status = 'closed'", migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            """
            UPDATE payments_refundline AS refunded SET cash_amount = line.cash_amount, beili_amount = line.beili_amount
            FROM shop_orderline AS line WHERE line.id = refunded.order_line_id
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('status', 'asked')), fields=['payment'], name='notification_asked'),
        ),
        migrations.AddIndex(
            model_name='refund',
            index=models.Index(condition=models.Q(('explanation', ''), ('kind', 'external'), models.Q(('status', 'rejected'), _negated=True)), fields=['requested_at'], name='refund_to_explain'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('handled_at__isnull', True), ('status', 'received')), models.Q(('available_at__isnull', True), ('handled_at__isnull', True), ('status', 'asked')), models.Q(('available_at__isnull', True), ('handled_at__isnull', False), ('status__in', ['applied', 'ignored', 'quarantined'])), _connector='OR'), name='notification_status_matches_times'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['received', 'asked', 'applied']), models.Q(('reason', ''), _negated=True), _connector='OR'), name='notification_says_why_not_applied'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('external_refunded__gte', 0), ('refund_committed__lte', models.F('amount')), ('refunded_amount__gte', models.F('external_refunded')), ('refunded_amount__lte', django.db.models.expressions.CombinedExpression(models.F('external_refunded'), '+', models.F('refund_committed'))), ('refunded_amount__lte', models.F('amount'))), name='payment_refunds_within_amount'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('closed_reason', ''), ('paid_at__isnull', True), ('status', 'open')), models.Q(('closed_reason', ''), ('paid_at__isnull', False), ('status', 'paid'), ('trade_no__isnull', False)), models.Q(('closed_at__isnull', False), ('closed_reason', 'never_paid'), ('paid_at__isnull', True), ('status', 'closed')), models.Q(('closed_at__isnull', False), ('closed_reason', 'given_back'), ('paid_at__isnull', False), ('status', 'closed'), ('trade_no__isnull', False)), _connector='OR'), name='payment_status_matches_times'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'external'), _negated=True), fields=('out_request_no',), name='refund_out_request_no'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'external')), fields=('payment', 'out_request_no'), name='refund_external_number_once'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('kind', 'external'), ('status', 'reported')), models.Q(('finished_at__isnull', True), ('sent_at__isnull', True), ('status', 'requested')), models.Q(('approved_at__isnull', False), ('finished_at__isnull', True), ('sent_at__isnull', False), ('status__in', ['sent', 'unknown'])), models.Q(('approved_at__isnull', False), ('finished_at__isnull', False), ('status__in', ['succeeded', 'failed'])), models.Q(('finished_at__isnull', False), ('kind', 'external'), ('status', 'succeeded')), models.Q(('finished_at__isnull', False), ('status', 'rejected')), models.Q(('finished_at__isnull', False), ('status', 'paid_elsewhere'), models.Q(('reference', ''), _negated=True)), _connector='OR'), name='refund_status_matches_times'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'external'), ('status', 'succeeded'), models.Q(('explanation', ''), _negated=True), ('explained_at__isnull', False)), models.Q(('explained_at__isnull', True), ('explanation', '')), _connector='OR'), name='refund_only_proven_external_explained'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'surplus'), models.Q(('status', 'rejected'), _negated=True)), fields=('payment',), name='refund_one_per_surplus_payment'),
        ),
        migrations.AddConstraint(
            model_name='refundline',
            constraint=models.CheckConstraint(condition=models.Q(('beili_amount__gte', 0), ('cash_amount__gte', 0)), name='refund_line_amounts_not_negative'),
        ),
    ]
