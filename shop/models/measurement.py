from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Measurement(models.Model):
    """The last value of a measurement that is expensive to take. Written by
    `shop/domain/measures/measurements.py`.
    """

    name = models.CharField(_("名称"), max_length=100)
    value = models.JSONField(_("结果"))
    taken_at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = pgettext_lazy("one", "测量结果")
        verbose_name_plural = pgettext_lazy("many", "测量结果")
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="measurement_name")]

    def __str__(self) -> str:
        return self.name
