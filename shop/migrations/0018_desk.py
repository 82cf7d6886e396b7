"""The operators' desk: codes for coupons, work that was given up in an index, buyers by e-mail and phone."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

from shop import states
from shop.models.triggers import allow_moves, freeze


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("shop", "0017_due_rows_of_two_kinds"),
    ]

    operations = [
        migrations.CreateModel(
            name="CouponCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=20, verbose_name="兑换码")),
                ("batch", models.CharField(max_length=64, verbose_name="批次")),
                ("created_at", models.DateTimeField(verbose_name="生成时间")),
                ("redeemed_at", models.DateTimeField(blank=True, null=True, verbose_name="兑换时间")),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True, verbose_name="作废时间")),
            ],
            options={
                "verbose_name": "兑换码",
                "verbose_name_plural": "兑换码",
            },
        ),
        migrations.AlterModelOptions(
            name="account",
            options={
                "permissions": [
                    ("end_logins", "可结束账户的所有登录"),
                    ("anonymise_account", "可抹除账户的个人信息"),
                    ("adjust_beili", "可发放或扣除贝里"),
                ],
                "verbose_name": "账户",
                "verbose_name_plural": "账户",
            },
        ),
        migrations.AlterModelOptions(
            name="coupon",
            options={
                "ordering": ["id"],
                "permissions": [("give_coupon", "可向买家发券"), ("make_codes", "可生成兑换码")],
                "verbose_name": "优惠券活动",
                "verbose_name_plural": "优惠券活动",
            },
        ),
        migrations.AlterModelOptions(
            name="enrolment",
            options={
                "permissions": [("grant_access", "可开通或延长课程"), ("revoke_access", "可收回课程")],
                "verbose_name": "已购课程",
                "verbose_name_plural": "已购课程",
            },
        ),
        migrations.AlterModelOptions(
            name="order",
            options={
                "permissions": [
                    ("cancel_order", "可取消未支付的订单"),
                    ("move_deadline", "可调整支付期限"),
                    ("pick_up_work", "可重新处理已放弃的事项"),
                ],
                "verbose_name": "订单",
                "verbose_name_plural": "订单",
            },
        ),
        migrations.AddField(
            model_name="coupon",
            name="is_code_only",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="不在领券中心显示，只能用兑换码领取",
                verbose_name="仅凭兑换码领取",
            ),
        ),
        migrations.AlterField(
            model_name="orderevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("placed", "订单已创建"),
                    ("coupons_reserved", "优惠券已锁定"),
                    ("beili_held", "贝里已锁定"),
                    ("payment_started", "已发起支付"),
                    ("payment_closed", "支付已关闭"),
                    ("paid", "支付成功"),
                    ("enrolled", "课程已开通"),
                    ("cancel_requested", "已申请取消"),
                    ("cancelled", "订单已取消"),
                    ("expired", "订单已超时关闭"),
                    ("late_payment", "订单关闭后收到付款"),
                    ("reopened", "订单已恢复"),
                    ("double_payment", "收到重复付款"),
                    ("refund_requested", "已申请退款"),
                    ("refund_approved", "退款已批准"),
                    ("refund_rejected", "退款申请未通过"),
                    ("refund_sent", "退款处理中"),
                    ("refund_succeeded", "退款成功"),
                    ("refund_failed", "退款失败，客服处理中"),
                    ("enrolment_revoked", "课程已收回"),
                    ("payment_given_back", "付款已由支付渠道全额退回"),
                    ("external_refund", "支付渠道侧发生退款"),
                    ("external_refund_explained", "渠道侧退款已确认用途"),
                    ("external_refund_dismissed", "渠道侧退款未核实"),
                    ("refund_paid_elsewhere", "已通过其他方式退款"),
                    ("enrolment_moved", "课程有效期已提前"),
                    ("deadline_moved", "支付期限已调整"),
                    ("asked_gateway", "正在向支付渠道核实"),
                    ("picked_up", "已重新处理"),
                    ("access_taken_back", "课程已由客服收回"),
                    ("notification_reapplied", "支付通知将重新处理"),
                    ("notification_dismissed", "支付通知已核对，无需处理"),
                ],
                max_length=32,
                verbose_name="事件",
            ),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("email"), "text_pattern_ops"
                ),
                condition=models.Q(("email", ""), _negated=True),
                name="account_by_email",
            ),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(
                condition=models.Q(("phone", ""), _negated=True),
                fields=["phone"],
                name="account_by_phone",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(condition=models.Q(("dead_at__isnull", False)), fields=["-id"], name="order_dead"),
        ),
        migrations.AddIndex(
            model_name="orderrequest",
            index=models.Index(
                condition=models.Q(("dead_at__isnull", False)), fields=["-id"], name="order_request_dead"
            ),
        ),
        migrations.AddField(
            model_name="couponcode",
            name="coupon",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="codes", to="shop.coupon", verbose_name="活动"
            ),
        ),
        migrations.AddField(
            model_name="couponcode",
            name="created_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="生成人",
            ),
        ),
        migrations.AddField(
            model_name="couponcode",
            name="record",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="code",
                to="shop.couponrecord",
                verbose_name="兑换的券",
            ),
        ),
        migrations.AddIndex(
            model_name="couponcode",
            index=models.Index(fields=["batch"], name="coupon_code_batch"),
        ),
        migrations.AddConstraint(
            model_name="couponcode",
            constraint=models.UniqueConstraint(fields=("code",), name="coupon_code_once"),
        ),
        migrations.AddConstraint(
            model_name="couponcode",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("record__isnull", True), ("redeemed_at__isnull", True)),
                    models.Q(("record__isnull", False), ("redeemed_at__isnull", False), ("withdrawn_at__isnull", True)),
                    _connector="OR",
                ),
                name="coupon_code_redeemed_has_its_coupon",
            ),
        ),
        allow_moves("shop_orderrequest", states.ORDER_REQUEST_MOVES),
        freeze("shop_couponcode", "coupon_id", "code", "batch", "created_by_id", "created_at"),
    ]
