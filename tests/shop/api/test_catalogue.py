"""`courses/`."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from knox.models import AuthToken

from shop import clock
from shop.models import Category, Course
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
        "course_type": 0,
        "type": "付费",
        "category": None,
        "starts_on": None,
        "price_policy_list": [
            {"id": policy_of(course).pk, "period": "1个月", "valid_period": 30, "price": "99.00"}
        ],
        "is_on_sale": True,
    }
    assert answered(Api().get(f"{V1}/courses/")) == {
        "count": 1,
        "page": 1,
        "page_size": 20,
        "results": [shown],
    }
    more = {"syllabus": "", "access_by": None, "access_until": None, "unpaid_order_number": None}
    detail = answered(Api().get(f"{V1}/courses/{course.pk}/"))
    (period,) = detail.pop("period_list")
    assert detail == shown | more
    assert period["policy_id"] == policy_of(course).pk
    assert datetime.fromisoformat(period["valid_until"]) - datetime.fromisoformat(
        period["valid_from"]
    ) == timedelta(days=30)


def test_pages() -> None:
    courses = [make_course() for _ in range(3)]
    data = answered(Api().get(f"{V1}/courses/?page=2&page_size=2"))
    assert (data["count"], data["page"], data["page_size"], [row["id"] for row in data["results"]]) == (
        3,
        2,
        2,
        [courses[2].pk],
    )


def test_missing_page() -> None:
    make_course()
    assert refused(Api().get(f"{V1}/courses/?page=99")) == (404, 1001, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=x",
        "page_size=101",
        "colour=red",
        "search=" + "长" * 65,
        "category=x",
        "type=9",
        "type=paid",
        "search=a&search=b",
    ],
)
def test_invalid_page(query: str) -> None:
    assert refused(Api().get(f"{V1}/courses/?{query}")) == (400, 1003, "invalid_input")


@pytest.mark.parametrize("number", ["999999999999999999", "0"])
def test_missing_course(number: str) -> None:
    assert refused(Api().get(f"{V1}/courses/{number}/")) == (404, 1001, "course_not_found")


def test_course_that_is_offline() -> None:
    course = make_course(status=CourseStatus.OFFLINE)
    assert refused(Api().get(f"{V1}/courses/{course.pk}/")) == (404, 1001, "course_not_found")


OFF_SALE = [{"status": CourseStatus.OFFLINE}, {"status": CourseStatus.PRESALE}]


@pytest.mark.parametrize("change", OFF_SALE, ids=str)
def test_course_that_was_bought_stays_reachable(change: dict[str, Any]) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    orderlives.finish(make_order(buyer, course, now=clock.now()).order_number)
    Course.objects.filter(pk=course.pk).update(**change)
    url = f"{V1}/courses/{course.pk}/"
    shown = answered(Api(buyer).get(url))
    assert (shown["id"], shown["is_on_sale"]) == (course.pk, False)
    for other in (Api(), Api(make_buyer())):
        assert refused(other.get(url)) == (404, 1001, "course_not_found")
    assert answered(Api(buyer).get(f"{V1}/courses/"))["results"] == []


def test_refunded_course_is_not_reachable() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    number = make_order(buyer, course, now=clock.now()).order_number
    orderlives.finish(number)
    orderlives.refund(number)
    Course.objects.filter(pk=course.pk).update(status=CourseStatus.OFFLINE)
    assert refused(Api(buyer).get(f"{V1}/courses/{course.pk}/")) == (404, 1001, "course_not_found")


def test_course_for_members_is_visible_and_not_for_sale() -> None:
    course = make_course(course_type=CourseType.VIP_ONLY)
    shown = answered(Api().get(f"{V1}/courses/{course.pk}/"))
    assert (shown["course_type"], shown["type"], shown["is_on_sale"], shown["period_list"]) == (
        1,
        "VIP专享",
        False,
        [],
    )
    assert answered(Api().get(f"{V1}/courses/?type=1"))["count"] == 1
    assert answered(Api().get(f"{V1}/courses/?type=2"))["count"] == 0


def test_search_and_categories() -> None:
    category = Category.objects.create(name="数据库", brief="行与列")
    course = make_course(name="PostgreSQL 事务与锁", category=category)
    make_course(name="前端三件套")
    for query in (
        "search=事务",
        "search=postgres 锁",
        f"category={category.pk}",
        f"category={category.pk}&search=事务&type=0",
    ):
        (shown,) = answered(Api().get(f"{V1}/courses/?{query}"))["results"]
        assert (shown["id"], shown["category"]) == (course.pk, {"id": category.pk, "name": "数据库"})
    assert answered(Api().get(f"{V1}/courses/?search=没有"))["results"] == []
    assert answered(Api().get(f"{V1}/categories/"))["results"] == [
        {"id": category.pk, "name": "数据库", "brief": "行与列", "course_count": 1}
    ]


def test_degree_has_a_start_and_access_runs_from_it() -> None:
    course = make_course("6800.00", period=360, course_type=CourseType.DEGREE, starts_on=date(2099, 3, 1))
    shown = answered(Api().get(f"{V1}/courses/{course.pk}/"))
    assert (shown["type"], shown["starts_on"], shown["is_on_sale"]) == ("学位课程", "2099-03-01", True)
    assert shown["period_list"][0]["valid_from"] == "2099-03-01T00:00:00+08:00"


def test_expired_token_can_read_the_catalogue() -> None:
    course, api = make_course(), Api(make_buyer())
    AuthToken.objects.all().delete()
    assert answered(api.get(f"{V1}/courses/{course.pk}/"))["id"] == course.pk
