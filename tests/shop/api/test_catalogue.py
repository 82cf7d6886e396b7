"""`courses/`."""

import pytest

from shop.states import CourseStatus
from tests.clients import Api, answered, refused
from tests.factories import make_course, policy_of
from tests.shopping import V1

pytestmark = pytest.mark.django_db


def test_it_works() -> None:
    course = make_course("99.00")
    shown = {
        "id": course.pk,
        "name": course.name,
        "course_img": course.course_img,
        "brief": "",
        "type": "付费",
        "price_policy_list": [{"id": policy_of(course).pk, "period": "1个月", "valid_period": 30, "price": "99.00"}],
    }
    assert answered(Api().get(f"{V1}/courses/")) == {"count": 1, "page": 1, "page_size": 20, "results": [shown]}
    assert answered(Api().get(f"{V1}/courses/{course.pk}/")) == shown


def test_pages() -> None:
    courses = [make_course() for _ in range(3)]
    data = answered(Api().get(f"{V1}/courses/?page=2&page_size=2"))
    assert (data["count"], data["page"], data["page_size"], [row["id"] for row in data["results"]]) == (3, 2, 2, [courses[2].pk])


def test_page_that_is_not_there() -> None:
    make_course()
    assert refused(Api().get(f"{V1}/courses/?page=99")) == (404, 1001, "not_found")


@pytest.mark.parametrize("query", ["page=0", "page=x", "page_size=101", "colour=red"])
def test_page_that_makes_no_sense(query: str) -> None:
    assert refused(Api().get(f"{V1}/courses/?{query}")) == (400, 1003, "invalid_input")


@pytest.mark.parametrize("number", ["999999999999999999", "0"])
def test_course_that_is_not_there(number: str) -> None:
    assert refused(Api().get(f"{V1}/courses/{number}/")) == (404, 1001, "course_not_found")


def test_course_that_is_offline() -> None:
    course = make_course(status=CourseStatus.OFFLINE)
    assert refused(Api().get(f"{V1}/courses/{course.pk}/")) == (404, 1001, "course_not_found")
