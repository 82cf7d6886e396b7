from typing import ClassVar

from django.db import models


class Measurement(models.Model):
    """What was measured last, for whoever asks often what is dear to find out. `shop/domain/measures/measurements.py` writes them."""

    name = models.CharField("名称", max_length=100)
    value = models.JSONField("结果")
    taken_at = models.DateTimeField("时间")

    class Meta:
        verbose_name = "测量结果"
        verbose_name_plural = "测量结果"
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="measurement_name")]

    def __str__(self) -> str:
        return self.name
