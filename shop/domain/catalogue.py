"""What the shop shows of its courses."""

from django.db.models import QuerySet

from shop.errors import CourseNotFound
from shop.models import Course
from shop.states import SELLABLE_COURSE_TYPES, CourseStatus


def list_courses() -> QuerySet[Course]:
    """The courses on sale, in the shop's order."""
    return (
        Course.objects.filter(status=CourseStatus.ONLINE, course_type__in=SELLABLE_COURSE_TYPES)
        .prefetch_related("price_policies")
        .order_by("position", "id")
    )


def get_course(*, course_id: int) -> Course:
    """One course on sale.

    Raises:
        CourseNotFound: there is none with this id on sale.
    """
    course = list_courses().filter(pk=course_id).first()
    if course is None:
        raise CourseNotFound(course_id=course_id)
    return course
