"""What the shop shows."""

import pytest

from shop.domain.catalogue import get_course, list_courses
from shop.errors import CourseNotFound
from shop.models import Course
from shop.states import CourseStatus, CourseType
from tests.factories import make_course

pytestmark = pytest.mark.django_db


def test_list_has_what_is_on_sale_in_the_shops_order() -> None:
    last, first = make_course(), make_course(course_type=CourseType.DEGREE)
    Course.objects.filter(pk=last.pk).update(position=9_999_999)
    make_course(status=CourseStatus.OFFLINE)
    make_course(status=CourseStatus.PRESALE)
    make_course(course_type=CourseType.VIP_ONLY)
    assert list(list_courses()) == [first, last]


def test_get_course() -> None:
    course = make_course()
    assert get_course(course_id=course.pk) == course


@pytest.mark.parametrize("status", [CourseStatus.OFFLINE, CourseStatus.PRESALE])
def test_get_course_that_is_not_on_sale(status: CourseStatus) -> None:
    with pytest.raises(CourseNotFound):
        get_course(course_id=make_course(status=status).pk)
