"""One id per purchase: from the request to the row, the batch, the gateway call, the notification and the
books.
"""

import http.server
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from payments.domain.calling import SideBySide
from payments.gateways import get_gateways
from payments.gateways.protocol import GatewayUnreachable
from payments.models import Notification, Payment
from payments.tasks import apply_notifications, query_payments
from shop import clock, tracing
from shop.models import LedgerTransfer, Order, OrderEvent, OrderRequest
from shop.tasks import create_orders
from tests.clients import Api, answered
from tests.factories import make_buyer, make_course
from tests.payments.alipay_side import notification
from tests.payments.conftest import alipay_settings
from tests.running import run_task
from tests.shopping import V1, body_of, post_order
from tests.written import Written, written_lines

__all__ = ["alipay_settings"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]
NOTIFY = f"{V1}/payments/alipay/notify/"


@pytest.fixture
def written() -> Iterator[Written]:
    with written_lines() as lines:
        yield lines


def place(api: Api) -> str:
    """Sends an order request; returns its id."""
    placed = post_order(api, body_of(make_course("30.00"), alipay="30.00"))
    answered(placed, 202)
    return str(placed["X-Request-ID"])


def notify(payment: Payment, **changes: str) -> str:
    answer = Api().post(
        NOTIFY, urlencode(notification(payment, **changes)), content_type="application/x-www-form-urlencoded"
    )
    assert answer.content == b"success"
    return str(answer["X-Request-ID"])


def test_one_id_leads_from_the_post_to_the_ledger(written: Written) -> None:
    api = Api(make_buyer())
    trace_id = place(api)
    task_id, result = run_task(create_orders)
    assert result == "created 1"
    order = Order.objects.get()
    assert (order.trace_id, order.request.request_id) == (trace_id, trace_id)
    started = api.get(
        answered(api.get(f"{V1}/orders/{order.order_number}/"))["pay_url"].removeprefix(
            "http://127.0.0.1:8000"
        )
    )
    brought_by = notify(Payment.objects.get())
    settled_by, result = run_task(apply_notifications)
    assert result == "settled 1, handled 1"

    assert set(LedgerTransfer.objects.filter(order=order).values_list("trace_id", flat=True)) == {trace_id}
    assert Notification.objects.get().request_id == brought_by
    assert list(OrderEvent.objects.order_by("id").values_list("kind", "cause")) == [
        ("placed", f"task:{task_id}"),
        ("payment_started", f"request:{started['X-Request-ID']}"),
        ("paid", f"task:{settled_by}"),
        ("enrolled", f"task:{settled_by}"),
    ]
    told = [line for line in written.lines() if trace_id in str(line)]
    assert [(line["event"], line.get("task_id") or line.get("request_id")) for line in told] == [
        ("orders_created", task_id),
        ("payment_opened", started["X-Request-ID"]),
        ("trades_applied", settled_by),
    ]
    [applied] = written.of("notifications_handled")
    assert (applied["request_ids"], applied["task_id"]) == ([brought_by], settled_by)


def test_orders_of_one_batch_keep_their_own_ids(written: Written) -> None:
    traces = [place(Api(make_buyer())) for _ in range(3)]
    refused = place(Api(make_buyer()))
    OrderRequest.objects.filter(request_id=refused).update(
        body=OrderRequest.objects.get(request_id=refused).body | {"alipay": "1.00"}
    )
    task_id, result = run_task(create_orders)
    assert result == "created 3, refused 1"
    assert list(Order.objects.order_by("id").values_list("trace_id", flat=True)) == traces
    assert set(OrderEvent.objects.values_list("cause", flat=True)) == {f"task:{task_id}"}
    [line] = written.of("orders_created")
    assert (line["task_id"], line["task_name"], line["trace_ids"]) == (
        task_id,
        "shop.create_orders",
        sorted([*traces, refused]),
    )


def test_every_line_of_a_task_names_it_and_none_after_it(written: Written) -> None:
    place(Api(make_buyer()))
    task_id, _ = run_task(create_orders)
    tracing.log.info("afterwards")
    lines = written.lines()
    assert {(line["task_id"], line["task_name"]) for line in lines if line["event"] != "afterwards"} == {
        (task_id, "shop.create_orders")
    }
    assert "task_id" not in written.of("afterwards")[0]


@pytest.fixture
def headers_at_the_gateway(alipay_settings: Any) -> Iterator[list[str | None]]:
    """The headers that a server in the gateway's place receives; its answers are unreadable."""
    seen: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["X-Request-ID"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    alipay_settings.ALIPAY = {
        **alipay_settings.ALIPAY,
        "GATEWAY_URL": f"http://127.0.0.1:{server.server_port}/gateway.do",
    }
    get_gateways.cache_clear()
    yield seen
    server.shutdown()
    server.server_close()


def test_each_call_of_the_gateway_carries_the_purchases_id(
    headers_at_the_gateway: list[str | None], written: Written
) -> None:
    api = Api(make_buyer())
    trace_id = place(api)
    create_orders()
    order = Order.objects.get()
    assert api.post(f"{V1}/orders/{order.order_number}/payments/", {"product": "qr"}).status_code == 503
    Payment.objects.update(available_at=clock.database_now())
    task_id, _ = run_task(query_payments)
    assert headers_at_the_gateway == [trace_id, trace_id]
    calls = written.of("gateway_called")
    assert [(line["method"], line["trace_id"], line["outcome"], line["error"]) for line in calls] == [
        ("alipay.trade.precreate", trace_id, "broken", "JSONDecodeError"),
        ("alipay.trade.query", trace_id, "broken", "JSONDecodeError"),
    ]
    assert calls[1]["task_id"] == task_id
    assert calls[1]["out_trade_no"] == Payment.objects.get().out_trade_no


def test_call_for_nothing_in_particular_carries_no_id(headers_at_the_gateway: list[str | None]) -> None:
    with pytest.raises(GatewayUnreachable):
        get_gateways().current.query("20260101000000000ABCDEFGHIJKLMP1")
    assert headers_at_the_gateway == [None]


def test_threads_of_a_task_keep_its_lines_apart(written: Written) -> None:
    callers = SideBySide(4)
    barrier = threading.Barrier(4)

    def call(number: int) -> None:
        barrier.wait(5)
        tracing.log.info("in_thread", number=number)

    with callers:
        for number in range(4):
            callers.submit(tracing.carry(call, "call", f"trace-{number}"), number)
    assert sorted((line["number"], line["trace_id"]) for line in written.of("in_thread")) == [
        (n, f"trace-{n}") for n in range(4)
    ]
    tracing.log.info("after")
    assert "trace_id" not in written.of("after")[0]
