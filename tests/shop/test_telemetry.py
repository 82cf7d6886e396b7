"""Spans by OpenTelemetry: a purchase is one trace with its parts in order, and batches are linked to their
purchases.
"""

import http.server
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pytest_django import Settings

from payments.domain.calling import SideBySide
from payments.models import Payment
from payments.tasks import apply_notifications, query_payments
from shop import clock, telemetry, tracing
from shop.models import Order
from shop.recording import start_recording
from shop.tasks import create_orders
from tests.clients import Api, answered
from tests.factories import make_buyer, make_course
from tests.payments.alipay_side import notification
from tests.payments.conftest import alipay_settings
from tests.running import run_task
from tests.shopping import V1, body_of, post_order

__all__ = ["alipay_settings"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]
PLACE = "whitenoise.middleware.WhiteNoiseMiddleware"


@pytest.fixture
def exporter(settings: Settings) -> Iterator[InMemorySpanExporter]:
    """Records everything in memory, like OTEL_TRACES_EXPORTER."""
    place = settings.MIDDLEWARE.index(PLACE) + 1
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:place],
        "project.spans.SpanMiddleware",
        *settings.MIDDLEWARE[place:],
    ]
    memory = InMemorySpanExporter()
    telemetry.record(SimpleSpanProcessor(memory))
    yield memory
    tracing.record_with(None)


Spans = list[ReadableSpan]


def of_trace(spans: Any, request_id: str) -> Spans:
    """The spans of one trace, in the order of their starts."""
    found = [span for span in spans if span.context.trace_id == telemetry.trace_id_of(request_id)]
    return sorted(found, key=lambda span: span.start_time)


def named(spans: Iterable[ReadableSpan], name: str) -> ReadableSpan:
    [span] = [span for span in spans if span.name == name]
    return span


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def linked_to(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def buy(api: Api) -> str:
    """Sends an order request; returns its id."""
    return str(post_order(api, body_of(make_course("30.00"), alipay="30.00"))["X-Request-ID"])


def test_one_purchase_is_one_trace(exporter: InMemorySpanExporter) -> None:
    api = Api(make_buyer())
    request_id = buy(api)
    made_by = run_task(create_orders)[0]
    order = Order.objects.get()
    pay_url = answered(api.get(f"{V1}/orders/{order.order_number}/"))["pay_url"].removeprefix(
        "http://127.0.0.1:8000"
    )
    opened_by = str(api.get(pay_url)["X-Request-ID"])
    form = urlencode(notification(Payment.objects.get()))
    brought_by = str(
        api.post(f"{V1}/payments/alipay/notify/", form, content_type="application/x-www-form-urlencoded")[
            "X-Request-ID"
        ]
    )
    settled_by = run_task(apply_notifications)[0]

    spans = exporter.get_finished_spans()
    purchase = of_trace(spans, request_id)
    first = named(purchase, "POST api/v1/orders/")
    assert (first.context.trace_id, first.kind, parent_of(first)) == (
        int(request_id, 16),
        SpanKind.SERVER,
        None,
    )
    assert first.attributes is not None
    assert (first.attributes["http.response.status_code"], first.attributes["http.route"]) == (
        202,
        "api/v1/orders/",
    )
    whole = [span for span in purchase if span.kind is SpanKind.INTERNAL or span is first]
    assert [(span.name, parent_of(span)) for span in whole] == [
        ("POST api/v1/orders/", None),
        ("orders_created", first.context.span_id),
        ("start_payment", first.context.span_id),
        ("trades_applied", first.context.span_id),
    ]
    # The statement that stored the request is its child; those that opened the payment are children of that.
    statements = [span for span in purchase if span.kind is SpanKind.CLIENT]
    assert {parent_of(span) for span in statements} == {
        first.context.span_id,
        named(purchase, "start_payment").context.span_id,
    }
    assert any("INSERT INTO shop_orderrequest" in str(span.attributes) for span in statements)
    assert 'INSERT INTO "payments_payment"' in str([span.attributes for span in statements])

    # Each is linked to its batch, which is in its task's trace, and the batch to each.
    for name, task_id, kind, table in (
        ("orders_created", made_by, "shop.create_orders", "shop_orderrequest"),
        ("trades_applied", settled_by, "payments.apply_notifications", "payments_notification"),
    ):
        task = of_trace(spans, task_id)
        batch = named(task, f"batch of {table}")
        assert (task[0].name, task[0].kind, parent_of(batch)) == (
            kind,
            SpanKind.CONSUMER,
            task[0].context.span_id,
        )
        assert linked_to(named(purchase, name)) == {batch.context.span_id}
        assert named(purchase, name).context.span_id in linked_to(batch)
        below = [span for span in task if parent_of(span) == batch.context.span_id]
        assert below
        assert {span.kind for span in below} == {SpanKind.CLIENT}
    # The cashier's page and the notification are separate requests; links connect the traces.
    opened = of_trace(spans, opened_by)[0]
    assert opened.name == "GET pay/<str:token>/"
    assert linked_to(named(purchase, "start_payment")) == {opened.context.span_id}
    brought = of_trace(spans, brought_by)
    assert [span.name for span in brought if span.kind is not SpanKind.CLIENT] == [
        "POST api/v1/payments/alipay/notify/",
        "notifications_handled",
    ]
    assert linked_to(brought[-1]) == {
        named(of_trace(spans, settled_by), "batch of payments_notification").context.span_id
    }


def test_batch_is_linked_to_each_of_its_purchases(exporter: InMemorySpanExporter) -> None:
    requests = [buy(Api(make_buyer())) for _ in range(3)]
    task_id = run_task(create_orders)[0]
    spans = exporter.get_finished_spans()
    batch = named(of_trace(spans, task_id), "batch of shop_orderrequest")
    made = [named(of_trace(spans, request_id), "orders_created") for request_id in requests]
    assert linked_to(batch) == {span.context.span_id for span in made}
    assert len({span.context.trace_id for span in made}) == 3


def test_call_of_the_gateway_from_a_thread_is_in_the_purchases_trace(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(make_buyer())
    request_id = buy(api)
    run_task(create_orders)
    api.post(f"{V1}/orders/{Order.objects.get().order_number}/payments/", {"product": "page"})
    Payment.objects.update(available_at=clock.database_now())
    with SideBySide(2) as callers:
        monkeypatch.setattr("payments.tasks.get_callers", lambda: callers)
        task_id = run_task(query_payments)[0]
    purchase = of_trace(exporter.get_finished_spans(), request_id)
    asked, call = named(purchase, "ask about payments_payment"), named(purchase, "alipay.trade.query")
    first = named(purchase, "POST api/v1/orders/")
    assert (parent_of(call), parent_of(asked)) == (asked.context.span_id, first.context.span_id)
    assert call.kind is SpanKind.CLIENT
    assert not call.status.is_ok  # no server listens there
    assert linked_to(asked) == {of_trace(exporter.get_finished_spans(), task_id)[0].context.span_id}


def test_spans_have_no_values(exporter: InMemorySpanExporter) -> None:
    buyer = make_buyer(username="lufei@example.com")
    buy(Api(buyer))
    run_task(create_orders)
    told = str([(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()])
    assert "lufei" not in told
    assert Order.objects.get().order_number not in told


@pytest.mark.parametrize(
    "request_id", ["proxy-12345678", "0f" * 16, "0" * 32, "a" * 64, "6c1f1f0e-7b0a-4f39-9a53-3d6f5a0c9d11"]
)
def test_every_id_has_a_trace_of_its_own(request_id: str) -> None:
    trace_id, span_id = telemetry.trace_id_of(request_id), telemetry.first_span_id_of(request_id)
    assert 0 < trace_id < 2**128
    assert 0 < span_id < 2**64


def test_without_the_setting_nothing_is_recorded(settings: Settings) -> None:
    start_recording("none")
    assert tracing.recorder() is None
    assert "project.spans.SpanMiddleware" not in settings.MIDDLEWARE
    assert tracing.step("x") is tracing.step("y")  # a shared object without effect
    assert not [thread for thread in threading.enumerate() if "OtelBatch" in thread.name]


def test_otlp_goes_where_opentelemetrys_own_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    provider = telemetry.start("otlp")
    try:
        with tracing.task("shop.create_orders", "6c1f1f0e-7b0a-4f39-9a53-3d6f5a0c9d11"):
            pass
        tracing.flush()
    finally:
        tracing.record_with(None)
        provider.shutdown()
        server.shutdown()
        server.server_close()
    [(path, body)] = received
    assert path == "/v1/traces"
    assert bytes.fromhex("6c1f1f0e7b0a4f399a533d6f5a0c9d11") in body
    assert b"shop.create_orders" in body
