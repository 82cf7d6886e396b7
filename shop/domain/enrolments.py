"""A buyer's access to courses: one enrolment per paid line, one after the other for each course, without gaps
from now on.

A renewal starts where the last period ends. When a line is taken back, its enrolment is revoked and what is
left of its period is gone; the later periods of the course move up by just that, so that the buyer keeps all
that is paid for and nothing more. `fulfilment` grants.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from shop.domain import sql
from shop.models import Account, Enrolment, OrderLine
from shop.states import EnrolmentStatus

# Longer than the longest policy five times over. A renewal that would end later is refused before it is paid.
MAX_ACCESS_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did: the course ids that were lost, and the enrolments of other purchases that begin
    earlier now.
    """

    course_ids: Sequence[int]
    moved: Sequence[Enrolment]


def list_enrolments(*, account: Account) -> QuerySet[Enrolment]:
    """The buyer's enrolments, newest first."""
    return (
        Enrolment.objects.filter(account=account)
        .select_related("course", "order_line__order")
        .defer("course__syllabus")
        .order_by("-id")
    )


_REVOKE = """
    UPDATE shop_enrolment SET status = %s, revoked_at = %s WHERE order_line_id = ANY(%s) AND status = %s
    RETURNING account_id, course_id
"""
# Every period that isn't over keeps what is left of it. The first begins now if it hasn't begun, or on its
# degree's first day if that is still to come; each other one begins where the last one ends.
_MOVE_UP = """
    WITH remaining AS (
        SELECT enrolment.id, enrolment.valid_from,
            enrolment.valid_until - greatest(enrolment.valid_from, %(now)s) AS rest,
            sum(enrolment.valid_until - greatest(enrolment.valid_from, %(now)s)) OVER (
                PARTITION BY enrolment.account_id, enrolment.course_id ORDER BY enrolment.valid_from,
                enrolment.id
            ) AS rest_so_far,
            first_value(
                CASE WHEN enrolment.valid_from < %(now)s THEN %(now)s
                ELSE greatest(line.starts_on::timestamp AT TIME ZONE 'Asia/Shanghai', %(now)s) END
            ) OVER (PARTITION BY enrolment.account_id, enrolment.course_id
            ORDER BY enrolment.valid_from, enrolment.id) AS base
        FROM shop_enrolment AS enrolment JOIN shop_orderline AS line ON line.id = enrolment.order_line_id
        JOIN unnest(%(account_ids)s::bigint[], %(course_ids)s::bigint[]) AS chain(account_id, course_id)
            ON chain.account_id = enrolment.account_id AND chain.course_id = enrolment.course_id
        WHERE enrolment.status = %(active)s AND enrolment.valid_until > %(now)s
    ), moved AS (
        SELECT id, base + rest_so_far - rest AS starts, base + rest_so_far AS ends,
            valid_from < %(now)s AND rest = rest_so_far AS is_running
        FROM remaining
    )
    UPDATE shop_enrolment AS enrolment SET valid_until = moved.ends,
        valid_from = CASE WHEN moved.is_running THEN enrolment.valid_from ELSE moved.starts END
    FROM moved WHERE moved.id = enrolment.id AND enrolment.valid_until <> moved.ends
    RETURNING enrolment.id
"""


def revoke_enrolments(order_lines: Collection[OrderLine], *, now: datetime) -> Revoked:
    """Revokes the active enrolments of these lines and moves up the later periods of their courses, in the
    caller's transaction.

    The caller holds the lock of the account. Lines whose enrolment is revoked already, or which have none,
    change nothing.
    """
    found = sql.read(
        _REVOKE,
        [EnrolmentStatus.REVOKED.value, now, [line.pk for line in order_lines], EnrolmentStatus.ACTIVE.value],
    )
    if not found:
        return Revoked([], [])
    chains = sorted({(account_id, course_id) for account_id, course_id in found})
    return Revoked([course_id for _, course_id in found], _move_up(chains, now=now))


def _move_up(chains: Sequence[tuple[int, int]], *, now: datetime) -> list[Enrolment]:
    parameters: dict[str, Any] = {
        "account_ids": [account_id for account_id, _ in chains],
        "course_ids": [course_id for _, course_id in chains],
        "active": EnrolmentStatus.ACTIVE.value,
        "now": now,
    }
    moved = sql.read(_MOVE_UP, parameters)
    if not moved:
        return []
    ids = [pk for (pk,) in moved]
    return list(
        Enrolment.objects.filter(pk__in=ids).select_related("order_line__order").order_by("valid_from", "id")
    )
