"""`save()` writes only what was set on the object."""

import pytest
from django.db import DatabaseError, transaction
from django.db.models import F
from pytest_django import DjangoAssertNumQueries

from shop.models import Account, Coupon, Course, OrderRequest
from tests.factories import make_buyer, make_coupon, make_course, make_request

pytestmark = pytest.mark.django_db


def columns(course: Course) -> tuple[str, int]:
    return Course.objects.values_list("name", "position").get(pk=course.pk)


def test_other_columns_keep_what_others_wrote() -> None:
    stale = Course.objects.get(pk=make_course().pk)
    Course.objects.update(position=77)
    stale.name = "新名"
    stale.save()
    assert columns(stale) == ("新名", 77)


def test_object_that_was_just_made_writes_its_changes_only() -> None:
    course = make_course()
    Course.objects.update(position=77)
    course.name = "新名"
    course.save()
    assert columns(course) == ("新名", 77)


def test_column_that_was_saved_before_is_not_written_again() -> None:
    course = make_course()
    course.position = 5
    course.save()
    Course.objects.update(position=77)
    course.name = "新名"
    course.save()
    assert columns(course) == ("新名", 77)


def test_refreshed_object_starts_again() -> None:
    course = make_course()
    course.position = 5
    course.refresh_from_db()
    Course.objects.update(position=77)
    course.save()
    assert columns(course)[1] == 77


def test_column_read_later_is_known() -> None:
    course = Course.objects.only("pk").get(pk=make_course().pk)
    assert course.position
    Course.objects.update(position=77, name="先")
    course.brief = "x"
    course.save()
    assert columns(course) == ("先", 77)


def test_nothing_changed_is_no_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    course = Course.objects.get(pk=make_course().pk)
    with django_assert_num_queries(0):
        course.save()


def test_expression_is_computed_by_each_save() -> None:
    course = make_course()
    Course.objects.update(position=1)
    course.position = F("position") + 1
    course.save()
    assert columns(course)[1] == 2


def test_change_inside_json_is_saved() -> None:
    request = OrderRequest.objects.get(pk=make_request(make_buyer(), make_course()).pk)
    request.error_details["a"] = 1
    request.save()
    request.refresh_from_db()
    assert request.error_details == {"a": 1}


def test_row_that_is_gone_is_not_brought_back() -> None:
    coupon = make_coupon(value="1")
    Coupon.objects.filter(pk=coupon.pk).delete()
    coupon.name = "又来"
    with pytest.raises(DatabaseError), transaction.atomic():
        coupon.save()
    assert not Coupon.objects.exists()


def test_blocked_account_stays_blocked_when_its_password_is_set() -> None:
    stale = Account.objects.get(pk=make_buyer().pk)
    Account.objects.update(is_active=False)
    stale.set_password("correct horse battery")
    stale.save()
    stale.refresh_from_db()
    assert (stale.is_active, stale.check_password("correct horse battery")) == (False, True)
