"""Rows that something has to be done for. `shop/domain/work/due_rows.py` claims, finishes and gives them
up.
"""

from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Least
from django.utils.translation import gettext_lazy as _

from shop.models.base import SavesChanges

# For rows that wait for the gateway: an attempt every five minutes for a day, which outlasts its outages and
# its own retries.
GATEWAY_ATTEMPTS = 300


class Work(SavesChanges):
    """A row that is also a piece of work.

    `available_at` is when it may be claimed next; NULL means there is nothing to do.
    """

    # With the backoff of `shop/domain/work/due_rows.py` eight attempts span about eight minutes: longer than
    # a restart, shorter than a buyer's patience with `pending`.
    MAX_ATTEMPTS: ClassVar[int] = 8

    available_at = models.DateTimeField(_("可处理时间"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("尝试次数"), default=0, db_default=0)
    last_error = models.CharField(_("最近错误"), max_length=500, blank=True, default="", db_default="")
    # Given up after too many attempts: people look at it. Set together with available_at = NULL.
    dead_at = models.DateTimeField(_("放弃时间"), null=True, blank=True)

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True


# Rows that nobody has claimed yet, and those that were claimed: one begins where the other ends. A claim
# leaves a dead entry among the fresh ones and makes one among the claimed that is dead as soon as the row is
# done, so neither look reads the other's.
FRESH, CLAIMED = 0, 1


def due_index(name: str) -> models.Index:
    """The partial index that looks for work read: only rows with something to do are in it, however long the
    table grows.

    `LEAST(attempts, 1)` tells the fresh rows from the claimed ones.
    """
    return models.Index(
        Least("attempts", 1), "available_at", "id", condition=models.Q(available_at__isnull=False), name=name
    )


def dead_index(name: str) -> models.Index:
    """The partial index of rows that were given up: people look for them, and a healthy table has none."""
    return models.Index(fields=["-id"], condition=models.Q(dead_at__isnull=False), name=name)


def dead_is_not_due(name: str) -> models.CheckConstraint:
    """A CHECK that a row which was given up isn't also waiting to be claimed."""
    return models.CheckConstraint(
        condition=models.Q(dead_at__isnull=True) | models.Q(available_at__isnull=True), name=name
    )
