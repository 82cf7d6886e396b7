from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.base import SavesChanges
from shop.models.catalogue import Course
from shop.models.fields import names_of
from shop.models.order import OrderLine
from shop.states import EnrolmentStatus


class Enrolment(SavesChanges):
    """A buyer's access to a course, granted once per order line.

    A renewal is a separate row, which starts where the last one ends.
    """

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        db_index=False,
        related_name="enrolments",
        verbose_name=pgettext_lazy("one", "账户"),
    )
    course = models.ForeignKey(
        Course, models.PROTECT, related_name="enrolments", verbose_name=pgettext_lazy("one", "课程")
    )
    order_line = models.OneToOneField(
        OrderLine, models.PROTECT, related_name="enrolment", verbose_name=pgettext_lazy("one", "订单课程")
    )
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(EnrolmentStatus), default=EnrolmentStatus.ACTIVE
    )
    valid_from = models.DateTimeField(_("开始时间"))
    valid_until = models.DateTimeField(_("结束时间"))
    created_at = models.DateTimeField(_("开通时间"))
    revoked_at = models.DateTimeField(_("收回时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "已购课程")
        verbose_name_plural = pgettext_lazy("many", "已购课程")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(valid_until__gt=F("valid_from")), name="enrolment_grants_time"
            ),
            # Orders are refused long before access ends that late. A date beyond the range of datetime would
            # break every list that contains it.
            models.CheckConstraint(
                condition=Q(valid_until__lte=F("created_at") + timedelta(days=36500)),
                name="enrolment_ends_in_sight",
            ),
            models.CheckConstraint(
                condition=Q(status=EnrolmentStatus.ACTIVE, revoked_at__isnull=True)
                | Q(status=EnrolmentStatus.REVOKED, revoked_at__isnull=False),
                name="enrolment_status_matches_times",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "course", "-valid_until"], name="enrolment_of_buyer")
        ]
        permissions: ClassVar = [("grant_access", _("可开通或延长课程")), ("revoke_access", _("可收回课程"))]
