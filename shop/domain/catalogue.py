"""What the shop shows of its courses."""

from django.db.models import QuerySet

from shop.errors import CourseNotFound
from shop.models import Course, Enrolment
from shop.states import SELLABLE_COURSE_TYPES, CourseStatus, EnrolmentStatus


def list_courses() -> QuerySet[Course]:
    """The courses on sale, in the shop's order."""
    return (
        Course.objects.filter(status=CourseStatus.ONLINE, course_type__in=SELLABLE_COURSE_TYPES)
        .prefetch_related("price_policies")
        .order_by("position", "id")
    )


def get_course(*, course_id: int, account_id: int | None = None) -> Course:
    """One course on sale, or one that the account has bought and not given back: that stays reachable.

    Raises:
        CourseNotFound: there is none with this id for this account.
    """
    course = Course.objects.filter(pk=course_id).prefetch_related("price_policies").first()
    if course is None or not (course.is_sellable or _is_owned(course, account_id)):
        raise CourseNotFound(course_id=course_id)
    return course


def _is_owned(course: Course, account_id: int | None) -> bool:
    if account_id is None:
        return False
    return Enrolment.objects.filter(course=course, account_id=account_id, status=EnrolmentStatus.ACTIVE).exists()
