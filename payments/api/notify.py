"""Where Alipay sends its notifications, and where buyers return from its cashier."""

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from payments.domain.trades import inbox
from payments.gateways import get_gateways
from payments.gateways.protocol import InvalidSignature
from payments.metrics import NOTIFICATIONS
from payments.tasks import apply_notifications, query_payments
from shop import clock
from shop.api.authentication import request_id_of
from shop.api.fields import content_length
from shop.wakeup import wake_soon

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"


@csrf_exempt
@require_POST
def alipay_notify(request: HttpRequest) -> HttpResponse:
    """Verifies and stores a notification and answers the seven bytes `success`; a worker applies it.

    Anything without Alipay's signature is answered `fail`. The content type that Alipay actually sends is
    `application/x-www-form-urlencoded; text/html; charset=UTF-8`.
    """
    if not request.META.get("CONTENT_TYPE", "").lower().startswith(FORM_TYPE):
        return _plain("fail", status=415)
    if content_length(request.META) > MAX_BODY_BYTES:
        return _plain("fail", status=413)
    try:
        is_new = inbox.store_notification(
            gateways=get_gateways(),
            provider="alipay",
            headers=request.headers,
            body=request.body,
            now=clock.now(),
            request_id=request_id_of(request),
        )
    except InvalidSignature as error:
        NOTIFICATIONS.labels("refused").inc()
        log.warning("notification_refused", reason=str(error)[:200])
        return _plain("fail", status=400)
    NOTIFICATIONS.labels("new" if is_new else "repeated").inc()
    wake_soon(apply_notifications)
    return _plain("success", status=200)


@require_GET
def alipay_return(request: HttpRequest) -> HttpResponse:
    """Handles the buyer's return: has the trade queried and redirects to the order's page.

    The return itself proves nothing about the payment. Without Alipay's signature, or for an unknown trade,
    it redirects to the list of orders.
    """
    try:
        out_trade_no = get_gateways().verify_return(request.GET.dict())
    except InvalidSignature as error:
        log.warning("return_refused", reason=str(error)[:200])
        return HttpResponseRedirect("/orders/")
    order_number = inbox.note_return(out_trade_no=out_trade_no, now=clock.database_now())
    if order_number is None:
        return HttpResponseRedirect("/orders/")
    wake_soon(query_payments)
    return HttpResponseRedirect(f"/orders/{order_number}/")


def _plain(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain", status=status)
