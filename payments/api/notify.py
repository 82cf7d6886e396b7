"""Where Alipay tells us of trades, and where buyers come back from its cashier."""

from urllib.parse import unquote_to_bytes

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from payments.domain import inbox
from payments.gateways import get_gateway
from payments.gateways.protocol import InvalidSignature
from payments.metrics import NOTIFICATIONS
from payments.tasks import apply_notifications, query_payments
from shop import clock
from shop.api.fields import content_length
from shop.wakeup import wake_soon

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100
FORM_TYPE = "application/x-www-form-urlencoded"


@csrf_exempt
@require_POST
def alipay_notify(request: HttpRequest) -> HttpResponse:
    """Verifies, stores, answers the seven bytes `success`; a worker does the rest. Anything but Alipay's own is answered `fail`.

    Alipay's real header is `application/x-www-form-urlencoded; text/html; charset=UTF-8`.
    """
    if not request.META.get("CONTENT_TYPE", "").lower().startswith(FORM_TYPE):
        return _plain("fail", status=415)
    if content_length(request.META) > MAX_BODY_BYTES:
        return _plain("fail", status=413)
    try:
        raw_body = request.body.decode("ascii")
        form = _strict_form(raw_body)
        is_new = inbox.store_notification(gateway=get_gateway(), form=form, raw_body=raw_body, now=clock.now())
    except (ValueError, InvalidSignature) as error:
        NOTIFICATIONS.labels("refused").inc()
        log.warning("notification_refused", reason=str(error)[:200])
        return _plain("fail", status=400)
    NOTIFICATIONS.labels("new" if is_new else "repeated").inc()
    wake_soon(apply_notifications)
    return _plain("success", status=200)


def _strict_form(raw_body: str) -> dict[str, str]:
    """The fields of an ASCII form, each once, in UTF-8: what `parse_qsl` finds when it is strict, in half its time.

    Raises:
        ValueError: it is another kind of body.
    """
    pairs = raw_body.split("&")
    if len(pairs) > MAX_FIELDS:
        raise ValueError("too many fields")
    form: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError("a field has no value")
        form[_unquoted(name)] = _unquoted(value)
    if len(form) != len(pairs):
        raise ValueError("a field comes twice")
    if any("\x00" in value for value in form.values()):
        raise ValueError("a field holds a NUL")
    return form


def _unquoted(text: str) -> str:
    plain = text.replace("+", " ")
    return unquote_to_bytes(plain).decode() if "%" in plain else plain


@require_GET
def alipay_return(request: HttpRequest) -> HttpResponse:
    """The buyer comes back. Proves nothing about the payment: Alipay is asked, and the buyer sees the order's page."""
    try:
        out_trade_no = get_gateway().verify_return(request.GET.dict())
    except InvalidSignature as error:
        log.warning("return_refused", reason=str(error)[:200])
        return HttpResponseRedirect("/orders/")
    order_number = inbox.note_return(out_trade_no=out_trade_no, now=clock.now())
    if order_number is None:
        return HttpResponseRedirect("/orders/")
    wake_soon(query_payments)
    return HttpResponseRedirect(f"/orders/{order_number}/")


def _plain(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain", status=status)
