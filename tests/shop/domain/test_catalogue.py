"""The catalogue: categories, search, and what buying a course would grant."""

from datetime import UTC, date, datetime, timedelta
from operator import attrgetter

import pytest
from django.db import IntegrityError, connection
from pytest_django import DjangoAssertNumQueries

from shop.domain.catalogue import AccessBy, get_category, get_offer, list_categories, list_courses
from shop.errors import CategoryNotFound, CourseNotFound
from shop.models import Account, Category, Course, Enrolment, Order
from shop.states import CourseStatus, CourseType
from tests.factories import NOW, make_buyer, make_course, make_order, make_paid_order, make_policy, policy_of

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_list_has_what_everybody_may_see_in_the_shops_order() -> None:
    last, first = make_course(), make_course(course_type=CourseType.DEGREE)
    Course.objects.filter(pk=last.pk).update(position=9_999_999)
    make_course(status=CourseStatus.OFFLINE)
    make_course(status=CourseStatus.PRESALE)
    vip = make_course(course_type=CourseType.VIP_ONLY)
    assert list(list_courses()) == [first, vip, last]
    assert list(list_courses(course_type=CourseType.VIP_ONLY)) == [vip]


def test_list_reads_no_syllabus(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_course(syllabus="long")
    with django_assert_num_queries(2):
        (course,) = list_courses()
        assert (course.category, [*course.price_policies.all()]) == (None, [policy_of(course)])
    assert course.get_deferred_fields() == {"syllabus"}


def test_categories_that_have_something_to_show() -> None:
    second, first, empty = (
        Category.objects.create(name=name, position=place)
        for name, place in (("乙", 2), ("甲", 1), ("空", 0))
    )
    shown = make_course(category=first)
    make_course(category=second)
    make_course(category=first, status=CourseStatus.OFFLINE)
    make_course(category=empty, status=CourseStatus.PRESALE)
    assert list(map(attrgetter("name", "course_count"), list_categories())) == [("甲", 1), ("乙", 1)]
    assert list(list_courses(category_id=first.pk)) == [shown]
    assert get_category(category_id=empty.pk) == empty
    with pytest.raises(CategoryNotFound):
        get_category(category_id=first.pk + 1000)


NAMES = [
    "支付系统设计",
    "Django REST framework 实战",
    "PostgreSQL 事务与锁",
    "ＡＢＣ全角 100% 折_扣",
    "Café Ünïcode",
]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("支付", [0]),
        ("付系", [0]),
        ("支付系统设计", [0]),
        ("锁", [2]),
        ("事务 锁", [2]),
        ("锁\u3000postgres", [2]),
        ("django", [1]),
        ("DJANGO rest", [1]),
        ("rest实战", []),
        ("framework  实战 ", [1]),
        ("abc", [3]),
        ("ａｂｃ", [3]),
        ("100%", [3]),
        ("%", [3]),
        ("_", [3]),
        ("ünï", [4]),
        ("É", [4]),
        ("'", []),
        ("\\", []),
        ("支计", []),
        ("系付", []),
        ("  ", [0, 1, 2, 3, 4]),
    ],
)
def test_search_finds_words_in_any_language(search: str, found: list[int]) -> None:
    courses = [make_course(name=name) for name in NAMES]
    assert list(list_courses(search=search)) == [courses[place] for place in found]


def test_scattered_letter_pairs_are_no_match() -> None:
    """All pairs of the query's letters occur, but not the query: the index alone would find it."""
    make_course(name="ab bc")
    make_course(name="xabcx", brief="")
    assert [course.name for course in list_courses(search="abc")] == ["xabcx"]


def test_search_looks_into_brief_and_syllabus_and_shows_names_first() -> None:
    in_syllabus, in_brief, in_name = (
        make_course(name="甲", syllabus="# 章\n对账与退款"),
        make_course(name="乙", brief="退款"),
        make_course(name="退款实务"),
    )
    make_course(name="退款旧版", status=CourseStatus.OFFLINE)
    assert list(list_courses(search="退款")) == [in_name, in_syllabus, in_brief]


def test_search_among_thousands_uses_its_index() -> None:
    Course.objects.bulk_create(
        Course(name=f"第{number}门 数据分析", course_img="/x", status=0) for number in range(3000)
    )
    target = make_course(name="支付系统设计", syllabus="退款" * 5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE shop_course")
    assert list(list_courses(search="支付系统")) == [target]
    plan = list_courses(search="支付系统").explain()
    assert "Bitmap Index Scan on course_search" in plan
    assert "Seq Scan on shop_course" not in plan


def test_get_offer() -> None:
    course = make_course()
    offer = get_offer(course_id=course.pk, now=NOW)
    assert (offer.course, offer.access_by, offer.access_until, offer.unpaid_order_number) == (
        course,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("status", [CourseStatus.OFFLINE, CourseStatus.PRESALE])
def test_course_that_is_not_online(status: CourseStatus) -> None:
    with pytest.raises(CourseNotFound):
        get_offer(course_id=make_course(status=status).pk, now=NOW)


def promised(buyer: Account | None, course: Course, at: datetime) -> list[tuple[datetime, datetime]]:
    offer = get_offer(course_id=course.pk, account_id=None if buyer is None else buyer.pk, now=at)
    return [(period.valid_from, period.valid_until) for period in offer.periods]


def granted(order: Order) -> tuple[datetime, datetime]:
    enrolment = Enrolment.objects.get(order_line__order=order)
    return enrolment.valid_from, enrolment.valid_until


START = date(2026, 4, 1)
FIRST_MOMENT = datetime(2026, 3, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("kind", [CourseType.PAID, CourseType.DEGREE])
@pytest.mark.parametrize("days", [0, 10, 29, 31, 100])
def test_page_promises_what_a_purchase_grants(kind: CourseType, days: int) -> None:
    """New, renewed while it runs, and bought again after it has ended; a degree from its first day."""
    buyer = make_buyer()
    course = make_course(
        "99.00", period=30, course_type=kind, starts_on=START if kind == CourseType.DEGREE else None
    )
    make_policy(course, "199.00", period=90)
    for at in (NOW, NOW + days * DAY):
        first, longer = promised(buyer, course, at)
        assert longer == (first[0], first[0] + 90 * DAY)
        assert granted(make_paid_order(buyer, course, now=at)) == first
    assert promised(None, course, NOW)[0][0] == (FIRST_MOMENT if kind == CourseType.DEGREE else NOW)


def test_offer_shows_what_its_viewer_owns() -> None:
    buyer, course = make_buyer(), make_course()
    make_paid_order(buyer, course)
    waiting = make_order(buyer, course)
    offer = get_offer(course_id=course.pk, account_id=buyer.pk, now=NOW)
    assert (offer.access_by, offer.access_until) == (AccessBy.PURCHASE, NOW + 30 * DAY)
    assert offer.unpaid_order_number == waiting.order_number
    after = get_offer(course_id=course.pk, account_id=buyer.pk, now=NOW + 30 * DAY)
    assert (after.access_by, after.access_until) == (None, None)
    stranger = get_offer(course_id=course.pk, account_id=make_buyer().pk, now=NOW)
    assert (stranger.access_by, stranger.unpaid_order_number) == (None, None)


def test_membership_opens_vip_courses_while_it_lasts() -> None:
    buyer, vip, other = make_buyer(), make_course(course_type=CourseType.VIP_ONLY), make_course()
    membership = make_course("59.00", course_type=CourseType.MEMBERSHIP)

    def access(course: Course, at: datetime) -> tuple[AccessBy | None, datetime | None]:
        offer = get_offer(course_id=course.pk, account_id=buyer.pk, now=at)
        return offer.access_by, offer.access_until

    assert access(vip, NOW) == (None, None)
    assert promised(buyer, vip, NOW) == []
    make_paid_order(buyer, membership)
    assert access(vip, NOW) == (AccessBy.MEMBERSHIP, NOW + 30 * DAY)
    assert access(other, NOW) == (None, None)
    assert access(vip, NOW + 30 * DAY) == (None, None)
    make_paid_order(buyer, membership, now=NOW + DAY)
    assert access(vip, NOW + 2 * DAY) == (AccessBy.MEMBERSHIP, NOW + 60 * DAY)
    Enrolment.objects.filter(account=buyer).update(status="revoked", revoked_at=NOW)
    assert access(vip, NOW) == (None, None)


@pytest.mark.parametrize(
    ("kind", "day"),
    [(CourseType.PAID, START), (CourseType.MEMBERSHIP, START), (CourseType.DEGREE, date(2100, 1, 1))],
)
def test_database_refuses_a_start_that_means_nothing(kind: CourseType, day: date) -> None:
    with pytest.raises(IntegrityError, match="course_start_is_a_degrees"):
        make_course(course_type=kind, starts_on=day)
