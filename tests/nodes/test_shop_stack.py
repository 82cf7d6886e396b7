"""A whole shop of real processes sells, and its parts can be broken one by one."""

from pathlib import Path

import pytest

from project.local import purchase
from project.local.api_client import PurchaseError
from project.local.purchase import buy_courses
from project.local.waiting import wait_until
from tests.databases import drop_database
from tests.nodes.shop_stack import ShopStack, build_shop_stack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("contract")]


def test_a_shop_sells_a_course(shared_shop_stack: ShopStack) -> None:
    stack = shared_shop_stack
    receipt = buy_courses(stack.web_url, username="buyer1", password=stack.env["DEMO_PASSWORD"])
    assert (
        stack.value("SELECT status FROM shop_order WHERE order_number = %s", receipt.order_number) == "paid"
    )
    assert len(receipt.course_ids) == 2
    with stack.api("buyer1") as api:
        owned = {item["course_id"] for item in api.get("enrolments/")["results"]}
    assert owned == set(receipt.course_ids)


def test_a_purchase_of_everything_is_delivered_and_so_is_its_renewal(shared_shop_stack: ShopStack) -> None:
    """A degree starts on its first day, and a renewal after the first enrolment: neither is active yet."""
    stack = shared_shop_stack
    first, second = (
        buy_courses(stack.web_url, username="buyer3", password=stack.env["DEMO_PASSWORD"], count=100)
        for _ in range(2)
    )
    assert first.course_ids == second.course_ids
    assert len(first.course_ids) > 12
    later = """
        SELECT count(*) FROM shop_enrolment e JOIN shop_orderline l ON l.id = e.order_line_id
        JOIN shop_order o ON o.id = l.order_id WHERE o.order_number = %s AND e.valid_from > now()
    """
    assert [stack.value(later, receipt.order_number) for receipt in (first, second)] == [
        1,
        len(first.course_ids),
    ]


def test_courses_of_an_order_that_was_left_unpaid_are_bought(
    shared_shop_stack: ShopStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(pay_url: str, **options: object) -> None:
        raise PurchaseError("the buyer left the cashier")

    stack = shared_shop_stack
    with monkeypatch.context() as patch:
        patch.setattr(purchase, "pay_at_cashier", leave)
        with pytest.raises(PurchaseError, match="left the cashier"):
            buy_courses(stack.web_url, username="buyer2", password=stack.env["DEMO_PASSWORD"])
    receipt = buy_courses(stack.web_url, username="buyer2", password=stack.env["DEMO_PASSWORD"])
    unpaid = """
        SELECT DISTINCT course_id FROM shop_orderline l JOIN shop_order o ON o.id = l.order_id
        JOIN shop_account a ON a.id = o.account_id
        WHERE a.username = 'buyer2' AND o.status = 'awaiting_payment'
    """
    assert {row["course_id"] for row in stack.rows(unpaid)} == set(receipt.course_ids)


def test_a_shop_of_its_own_survives_its_broken_parts(
    shared_shop_stack: ShopStack, shop_stack: ShopStack
) -> None:
    stack = shop_stack
    assert stack.database_url != shared_shop_stack.database_url
    assert stack.value("SELECT count(*) FROM shop_order") == 0
    assert stack.web_url != shared_shop_stack.web_url
    assert len(stack.celery_setup) == 2
    stack.worker.kill("SIGKILL")
    stack.broker.kill("SIGKILL")
    stack.cut_database_connections()
    assert wait_until(stack.is_ready, timeout_s=30)  # accepting orders needs only the database
    stack.broker.restart()
    stack.worker.restart()
    stack.worker.ready()
    stack.broker.lose_everything()
    receipt = buy_courses(stack.web_url, username="buyer2", password=stack.env["DEMO_PASSWORD"], count=1)
    assert stack.value("SELECT count(*) FROM shop_enrolment") == len(receipt.course_ids) == 1


def test_settings_of_one_shop_can_differ(tmp_path: Path) -> None:
    stack = build_shop_stack(tmp_path, extra_env={"ORDER_TTL_S": "77"})
    try:
        assert stack.env["ORDER_TTL_S"] == "77"
        children = [stack.web.container.child, stack.worker.container.child, stack.beat.container.child]
        assert [child.env["ORDER_TTL_S"] for child in children if child.env] == ["77"] * 3
        assert stack.value("SELECT count(*) FROM shop_course") > 0
    finally:
        stack.stop()
        drop_database(stack.database_url)
