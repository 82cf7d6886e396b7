"""`courses/`."""

from typing import Any

import pytest
from knox.models import AuthToken

from shop import clock
from shop.models import Course
from shop.states import CourseStatus, CourseType
from tests import orderlives
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_order, policy_of
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
        "is_on_sale": True,
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


OFF_SALE = [{"status": CourseStatus.OFFLINE}, {"status": CourseStatus.PRESALE}, {"course_type": CourseType.VIP_ONLY}]


@pytest.mark.parametrize("change", OFF_SALE, ids=str)
def test_course_that_was_bought_stays_reachable(change: dict[str, Any]) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    orderlives.pay(make_order(buyer, course, now=clock.now()).order_number)
    Course.objects.filter(pk=course.pk).update(**change)
    url = f"{V1}/courses/{course.pk}/"
    shown = answered(Api(buyer).get(url))
    assert (shown["id"], shown["is_on_sale"]) == (course.pk, False)
    for other in (Api(), Api(make_buyer())):
        assert refused(other.get(url)) == (404, 1001, "course_not_found")
    assert answered(Api(buyer).get(f"{V1}/courses/"))["results"] == []


def test_course_that_was_given_back_is_not_reachable() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    number = make_order(buyer, course, now=clock.now()).order_number
    orderlives.pay(number)
    orderlives.refund(number)
    Course.objects.filter(pk=course.pk).update(status=CourseStatus.OFFLINE)
    assert refused(Api(buyer).get(f"{V1}/courses/{course.pk}/")) == (404, 1001, "course_not_found")


def test_token_that_is_over_keeps_nobody_from_the_catalogue() -> None:
    course, api = make_course(), Api(make_buyer())
    AuthToken.objects.all().delete()
    assert answered(api.get(f"{V1}/courses/{course.pk}/"))["id"] == course.pk
