"""What the shop shows of its courses: the shelves, the search, and a course with what it means to buy it
now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import BooleanField, Count, Q, QuerySet
from django.db.models.expressions import RawSQL

from shop.domain import sql
from shop.domain.orders.unpaid import UNPAID
from shop.errors import CategoryNotFound, CourseNotFound
from shop.models import Category, Course
from shop.states import CourseStatus, CourseType, EnrolmentStatus

# Longer than any name that people look for; a course's own name has at most 128.
MAX_SEARCH_LENGTH = 64

_TEXT = "shop_search_text(shop_course.name, shop_course.brief, shop_course.syllabus)"
# Every word of the search must occur. The pairs of letters find candidates by an index, in Chinese as in any
# other language; the words themselves decide.
_MATCHES = f"""(
    shop_search_grams({_TEXT}) @> shop_search_grams(shop_search_text(%s::text, '', ''))
    AND NOT EXISTS (
        SELECT FROM regexp_split_to_table(trim(shop_search_text(%s::text, '', '')), '\\s+') AS word
        WHERE strpos({_TEXT}, word) = 0
    )
)"""
_IS_IN_NAME = (
    "strpos(shop_search_text(shop_course.name, '', ''), trim(shop_search_text(%s::text, '', ''))) > 0"
)


def list_courses(
    *, search: str = "", category_id: int | None = None, course_type: int | None = None
) -> QuerySet[Course]:
    """The courses that everybody may see, in the shop's order; of a search, those first that have it in their
    name.
    """
    shelf = _public().select_related("category").prefetch_related("price_policies").defer("syllabus")
    if category_id is not None:
        shelf = shelf.filter(category_id=category_id)
    if course_type is not None:
        shelf = shelf.filter(course_type=course_type)
    if not search.strip():
        return shelf.order_by("position", "id")
    return (
        shelf.filter(RawSQL(_MATCHES, [search, search], output_field=BooleanField()))  # noqa: S611 - ours, and the search is a parameter
        .annotate(is_in_name=RawSQL(_IS_IN_NAME, [search], output_field=BooleanField()))  # noqa: S611
        .order_by("-is_in_name", "position", "id")
    )


def _public() -> QuerySet[Course]:
    return Course.objects.filter(status=CourseStatus.ONLINE)


def list_categories() -> QuerySet[Category]:
    """The categories that have something to show, each with its `course_count`."""
    is_public = Q(courses__status=CourseStatus.ONLINE)
    return (
        Category.objects.annotate(course_count=Count("courses", filter=is_public))
        .filter(course_count__gt=0)
        .order_by("position", "id")
    )


def get_category(*, category_id: int) -> Category:
    """One category, even if it is empty at the moment.

    Raises:
        CategoryNotFound: there is none with this id.
    """
    category = Category.objects.filter(pk=category_id).first()
    if category is None:
        raise CategoryNotFound(category_id=category_id)
    return category


class AccessBy(StrEnum):
    """What opens a course to a buyer."""

    PURCHASE = "purchase"
    MEMBERSHIP = "membership"


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when a policy would give access."""

    policy_id: int
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """A course beside its viewer: what buying it now would give by each policy, and what they have of it
    already.
    """

    course: Course
    periods: Sequence[Period]
    access_by: AccessBy | None
    access_until: datetime | None
    unpaid_order_number: str | None


# What a viewer has: the end of their own periods, whether one of them runs now, the end of a membership that
# runs now with its renewals, and an unpaid order. What is bought now starts by the same rule as `fulfilment`
# grants it by.
_STANDING = f"""
    SELECT own.ends, own.is_running, member.ends, unpaid.order_number,
        coalesce(own.ends, greatest(course.starts_on::timestamp AT TIME ZONE 'Asia/Shanghai', %(now)s))
    FROM shop_course AS course
    CROSS JOIN LATERAL (
        SELECT max(valid_until) AS ends, coalesce(bool_or(valid_from <= %(now)s), false) AS is_running
        FROM shop_enrolment AS enrolment
        WHERE enrolment.account_id = %(account_id)s AND enrolment.course_id = course.id
            AND enrolment.status = %(active)s AND enrolment.valid_until > %(now)s
    ) AS own
    CROSS JOIN LATERAL (
        SELECT max(renewed.ends) AS ends FROM (
            SELECT max(valid_until) AS ends FROM shop_enrolment AS enrolment
            JOIN shop_course AS membership ON membership.id = enrolment.course_id
            WHERE enrolment.account_id = %(account_id)s AND membership.course_type = %(membership)s
                AND course.course_type = %(vip_only)s
                AND enrolment.status = %(active)s AND enrolment.valid_until > %(now)s
            GROUP BY enrolment.course_id HAVING bool_or(valid_from <= %(now)s)
        ) AS renewed
    ) AS member
    CROSS JOIN LATERAL ({UNPAID.format(account="%(account_id)s", course="course.id")}) AS unpaid
    WHERE course.id = %(course_id)s
"""  # noqa: S608 - ours


def get_offer(*, course_id: int, account_id: int | None = None, now: datetime) -> Offer:
    """A course that everybody may see, or one that the account has bought and not given back: that stays
    reachable.

    Raises:
        CourseNotFound: there is none with this id for this account.
    """
    course = (
        Course.objects.filter(pk=course_id)
        .select_related("category")
        .prefetch_related("price_policies")
        .first()
    )
    if course is None or not (course.is_public or _is_owned(course, account_id)):
        raise CourseNotFound(course_id=course_id)
    parameters = {
        "course_id": course.pk,
        "account_id": account_id or 0,
        "now": now,
        "active": EnrolmentStatus.ACTIVE.value,
        "membership": CourseType.MEMBERSHIP.value,
        "vip_only": CourseType.VIP_ONLY.value,
    }
    ((owned_until, is_running, member_until, unpaid, starts),) = sql.read(_STANDING, parameters)
    policies = course.price_policies.all() if course.is_sellable else ()
    periods = [Period(policy.pk, starts, starts + policy.duration) for policy in policies]
    by_membership = member_until is not None and not is_running
    access_by = AccessBy.MEMBERSHIP if by_membership else AccessBy.PURCHASE if owned_until else None
    return Offer(course, periods, access_by, member_until if by_membership else owned_until, unpaid)


def exists(*, course_id: int) -> bool:
    """Whether there is such a course, visible or not."""
    return Course.objects.filter(pk=course_id).exists()


def _is_owned(course: Course, account_id: int | None) -> bool:
    if account_id is None:
        return False
    return course.enrolments.filter(account_id=account_id, status=EnrolmentStatus.ACTIVE).exists()
