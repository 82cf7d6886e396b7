"""Work rows: rows for which something has to be done. `shop/domain/work/due_rows.py` claims, finishes and
gives them up.
"""

from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Least
from django.utils.translation import gettext_lazy as _

from shop.models.base import SavesChanges

# For rows that wait for the gateway: an attempt every five minutes for a day, longer than its outages and its
# own retries.
GATEWAY_ATTEMPTS = 300


class Work(SavesChanges):
    """A business row that is also a unit of work. `available_at` is when it may be claimed next; NULL means
    that nothing is to be done.
    """

    # With the backoff of `shop/domain/work/due_rows.py` eight attempts take about eight minutes: longer than
    # a restart, but not too long for a buyer who waits for `pending`.
    MAX_ATTEMPTS: ClassVar[int] = 8

    available_at = models.DateTimeField(_("可处理时间"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("尝试次数"), default=0, db_default=0)
    last_error = models.CharField(_("最近错误"), max_length=500, blank=True, default="", db_default="")
    # When it was given up after too many attempts and needs a person. Set together with available_at = NULL.
    dead_at = models.DateTimeField(_("放弃时间"), null=True, blank=True)

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True


# The two kinds of due rows: never claimed, and claimed before. A claim leaves a dead index entry among the
# fresh rows and adds an entry among the claimed ones that is dead once the row is done. Separate index ranges
# keep scans of one kind from reading the dead entries of the other.
FRESH, CLAIMED = 0, 1


def due_index(name: str) -> models.Index:
    """The partial index for finding work: it only contains due rows, however large the table grows.

    `LEAST(attempts, 1)` separates fresh rows from claimed ones.
    """
    return models.Index(
        Least("attempts", 1), "available_at", "id", condition=models.Q(available_at__isnull=False), name=name
    )


def dead_index(name: str) -> models.Index:
    """The partial index of rows that were given up: staff search for them, and a healthy table has none."""
    return models.Index(fields=["-id"], condition=models.Q(dead_at__isnull=False), name=name)


def dead_is_not_due(name: str) -> models.CheckConstraint:
    """A CHECK that a row which was given up isn't due."""
    return models.CheckConstraint(
        condition=models.Q(dead_at__isnull=True) | models.Q(available_at__isnull=True), name=name
    )
