"""A whole shop from real processes sells, and its parts can be broken one by one."""

import pytest

from project.local.purchase import buy_courses
from project.local.waiting import wait_until
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("shop_stack")]


def test_a_shop_sells_a_course(shared_shop_stack: ShopStack) -> None:
    stack = shared_shop_stack
    receipt = buy_courses(stack.web_url, username="buyer1", password=stack.env["DEMO_PASSWORD"])
    assert stack.value("SELECT status FROM shop_order WHERE order_number = %s", receipt.order_number) == "paid"
    assert len(receipt.course_ids) == 2
    with stack.api("buyer1") as api:
        owned = {item["course_id"] for item in api.get("enrolments/")["results"]}
    assert owned == set(receipt.course_ids)


def test_each_shop_has_a_database_of_its_own(shared_shop_stack: ShopStack, shop_stack: ShopStack) -> None:
    assert shop_stack.database_url != shared_shop_stack.database_url
    assert shop_stack.value("SELECT count(*) FROM shop_order") == 0
    assert shop_stack.web_url != shared_shop_stack.web_url


def test_a_shop_survives_its_broken_parts(shop_stack: ShopStack) -> None:
    stack = shop_stack
    assert len(stack.celery_setup) == 2
    stack.worker.kill("SIGKILL")
    stack.broker.kill("SIGKILL")
    stack.cut_database_connections()
    assert wait_until(stack.is_ready, timeout_s=30)  # the database is all that taking orders in needs
    stack.broker.restart()
    stack.worker.restart()
    stack.worker.ready()
    stack.broker.lose_everything()
    receipt = buy_courses(stack.web_url, username="buyer2", password=stack.env["DEMO_PASSWORD"], count=1)
    assert stack.value("SELECT count(*) FROM shop_enrolment") == len(receipt.course_ids) == 1


def test_settings_of_one_shop_can_differ(start_shop) -> None:
    stack = start_shop(ORDER_TTL_S="77")
    assert stack.env["ORDER_TTL_S"] == "77"
    assert stack.value("SELECT count(*) FROM shop_course") > 0
