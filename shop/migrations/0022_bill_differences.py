"""A difference between a bill and the books, explained, is told in its order's timeline."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('shop', '0021_defaults_of_work'),
    ]

    operations = [
        migrations.AlterField(
            model_name='orderevent',
            name='kind',
            field=models.CharField(choices=[('placed', '订单已创建'), ('coupons_reserved', '优惠券已锁定'), ('beili_held', '贝里已锁定'), ('payment_started', '已发起支付'), ('payment_closed', '支付已关闭'), ('paid', '支付成功'), ('enrolled', '课程已开通'), ('cancel_requested', '已申请取消'), ('cancelled', '订单已取消'), ('expired', '订单已超时关闭'), ('late_payment', '订单关闭后收到付款'), ('reopened', '订单已恢复'), ('double_payment', '收到重复付款'), ('refund_requested', '已申请退款'), ('refund_approved', '退款已批准'), ('refund_rejected', '退款申请未通过'), ('refund_sent', '退款处理中'), ('refund_succeeded', '退款成功'), ('refund_failed', '退款失败，客服处理中'), ('enrolment_revoked', '课程已收回'), ('payment_given_back', '付款已由支付渠道全额退回'), ('external_refund', '支付渠道侧发生退款'), ('external_refund_explained', '渠道侧退款已确认用途'), ('external_refund_dismissed', '渠道侧退款未核实'), ('refund_paid_elsewhere', '已通过其他方式退款'), ('enrolment_moved', '课程有效期已提前'), ('deadline_moved', '支付期限已调整'), ('asked_gateway', '正在向支付渠道核实'), ('picked_up', '已重新处理'), ('access_taken_back', '课程已由客服收回'), ('notification_reapplied', '支付通知将重新处理'), ('notification_dismissed', '支付通知已核对，无需处理'), ('bill_difference_explained', '对账差异已说明')], max_length=32, verbose_name='事件'),
        ),
    ]
