from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Turn(models.Model):
    """When a periodic job was last sent. `shop/domain/work/turns.py` takes turns."""

    name = models.CharField(_("任务"), max_length=100)
    taken_at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = pgettext_lazy("one", "定时任务")
        verbose_name_plural = pgettext_lazy("many", "定时任务")
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="turn_name")]

    def __str__(self) -> str:
        return self.name
