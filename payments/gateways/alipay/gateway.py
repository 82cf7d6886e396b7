"""Alipay as the shop's payment gateway."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from payments.gateways.alipay import bills, signed, wire
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.config import AlipayConfig
from payments.gateways.call_limits import CallLimits
from payments.gateways.protocol import (
    BillRow,
    GatewayRejected,
    GatewayUnreachable,
    InvalidSignature,
    Notice,
    PaymentIntent,
    RefundIntent,
    RefundMovement,
    Refusal,
    TradeReport,
)

# Fields that differ between two deliveries of the same facts.
_PER_DELIVERY = frozenset({"notify_id", "notify_time", "sign", "sign_type"})


class AlipayGateway:
    """See `payments.gateways.protocol.Gateway`. Stateless once built, so threads may share it."""

    name = "alipay"

    def __init__(self, config: AlipayConfig, limits: CallLimits | None = None) -> None:
        self.app_id = config.app_id
        self.seller_id = config.seller_id
        self._return_url = config.return_url
        self._notify_url = config.notify_url
        self._buyer_gateway_url = config.buyer_gateway_url
        self._client = AlipayClient(config, limits)

    def page_url(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_page_pay(
            subject=wire.plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            return_url=self._return_url,
            time_expire=wire.beijing_time(intent.expires_at),
        )
        return f"{self._buyer_gateway_url}?{query}"

    def wap_url(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_wap_pay(
            subject=wire.plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            return_url=self._return_url,
            time_expire=wire.beijing_time(intent.expires_at),
            product_code="QUICK_WAP_WAY",  # the SDK sends an older name
        )
        return f"{self._buyer_gateway_url}?{query}"

    def app_order_string(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_app_pay(
            subject=wire.plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            time_expire=wire.beijing_time(intent.expires_at),
        )
        return query

    def create_qr(self, intent: PaymentIntent) -> str:
        answer = self._client.call(
            "alipay.trade.precreate",
            {
                "subject": wire.plain_subject(intent.subject),
                "out_trade_no": intent.out_trade_no,
                "total_amount": f"{intent.amount:.2f}",
                "time_expire": wire.beijing_time(intent.expires_at),
                "product_code": "QR_CODE_OFFLINE",
            },
            notify_url=self._notify_url,
        )
        _must_be_about(answer, out_trade_no=intent.out_trade_no)
        return str(answer["qr_code"])

    def close(self, out_trade_no: str) -> None:
        try:
            answer = self._client.call("alipay.trade.close", {"out_trade_no": out_trade_no})
        except GatewayRejected as refusal:
            if refusal.refusal is not Refusal.UNKNOWN_TRADE:
                raise
            return
        _must_be_about(answer, out_trade_no=out_trade_no)

    def refund(self, intent: RefundIntent) -> bool:
        answer = self._client.call(
            "alipay.trade.refund",
            {
                "out_trade_no": intent.out_trade_no,
                "out_request_no": intent.out_request_no,
                "refund_amount": f"{intent.amount:.2f}",
                "refund_reason": wire.plain_subject(intent.reason, fallback="退款"),
            },
        )
        _must_be_about(answer, out_trade_no=intent.out_trade_no)
        # Code 10000 only means "accepted". An identical retry answers N even after the money has moved.
        return answer.get("fund_change") == "Y"

    def find_refund(self, out_trade_no: str, out_request_no: str) -> RefundMovement | None:
        answer = self._client.call(
            "alipay.trade.fastpay.refund.query",
            {
                "out_trade_no": out_trade_no,
                "out_request_no": out_request_no,
                "query_options": ["gmt_refund_pay"],
            },
        )
        if "out_request_no" not in answer:
            return None  # 10000 without content: Alipay has no such refund (yet)
        _must_be_about(answer, out_trade_no=out_trade_no, out_request_no=out_request_no)
        amount = str(answer.get("refund_amount", ""))
        if answer.get("refund_status") not in {None, "", "REFUND_SUCCESS"} or not wire.AMOUNT.fullmatch(
            amount
        ):
            return None
        return RefundMovement(out_request_no, wire.yuan(amount), wire.find_time(answer.get("gmt_refund_pay")))

    def download_bill(self, day: date) -> bytes:
        answer = self._client.call(
            "alipay.data.dataservice.bill.downloadurl.query",
            {"bill_type": "trade", "bill_date": day.isoformat()},
        )
        url = str(answer.get("bill_download_url", ""))
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not _is_alipays(
            parts.hostname or "", self._client.gateway_url
        ):
            raise GatewayUnreachable("the bill's address isn't Alipay's")
        return self._client.download(url)

    def read_bill(self, archive: bytes) -> Iterator[BillRow]:
        return bills.read_rows(archive)

    def query(self, out_trade_no: str) -> TradeReport | None:
        try:
            answer = self._client.call("alipay.trade.query", {"out_trade_no": out_trade_no})
        except GatewayRejected as refusal:
            if refusal.refusal is Refusal.UNKNOWN_TRADE:
                return None
            raise
        _must_be_about(answer, out_trade_no=out_trade_no)
        try:
            return _report(
                answer,
                app_id=self.app_id,
                seller_id=None,
                paid_at=answer.get("send_pay_date"),
                is_current=True,
            )
        except InvalidSignature as error:
            raise GatewayUnreachable(str(error)) from error

    def verify_notification(self, headers: Mapping[str, str], body: bytes) -> Notice:
        form = _form_of(body)
        proven = signed.read_signed(
            form, needs=signed.NOTIFICATION_NEEDS, find_signing_key=self._client.find_signing_key
        )
        fields = proven.fields
        if fields["notify_type"] != "trade_status_sync":
            raise InvalidSignature("not a notification about a trade")
        facts = {name: value for name, value in fields.items() if name not in _PER_DELIVERY}
        return Notice(
            provider=self.name,
            notice_id=fields["notify_id"],
            facts=facts,
            status_text=fields["trade_status"],
            verified_by=proven.verified_by,
            report=_report(
                fields,
                app_id=fields["app_id"],
                seller_id=fields["seller_id"],
                paid_at=fields.get("gmt_payment"),
                refunded=wire.yuan(fields.get("refund_fee") or "0"),
                movements=_movements(fields),
            ),
        )

    def verify_return(self, form: Mapping[str, str]) -> str:
        return signed.read_signed(
            form, needs=signed.RETURN_NEEDS, find_signing_key=self._client.find_signing_key
        ).fields["out_trade_no"]


def _form_of(body: bytes) -> dict[str, str]:
    try:
        return wire.read_form(body)
    except ValueError as error:
        raise InvalidSignature(f"not a form as Alipay sends one: {error}") from error


def _report(
    fields: Mapping[str, Any],
    *,
    app_id: str | None,
    seller_id: str | None,
    paid_at: str | None,
    refunded: Decimal | None = None,
    movements: tuple[RefundMovement, ...] = (),
    is_current: bool = False,
) -> TradeReport:
    try:
        return TradeReport(
            out_trade_no=fields["out_trade_no"],
            trade_no=fields["trade_no"],
            status=wire.STATUSES[fields["trade_status"]],
            total_amount=wire.yuan(fields["total_amount"]),
            app_id=app_id,
            seller_id=seller_id,
            paid_at=wire.from_beijing_time(paid_at),
            refunded=refunded,
            movements=movements,
            is_current=is_current,
            told_at=wire.find_time(fields.get("notify_time")),
        )
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise InvalidSignature(f"not a trade as Alipay describes one: {error!r}") from error


def _movements(fields: Mapping[str, str]) -> tuple[RefundMovement, ...]:
    """The refund that a notification reports, without its amount: `refund_fee` is the trade's total.

    An invalid number is left out; the total still says that money was refunded.
    """
    number = fields.get("out_biz_no", "")
    if not fields.get("refund_fee") or not wire.REFUND_NUMBER.fullmatch(number):
        return ()
    return (RefundMovement(number, None, wire.find_time(fields.get("gmt_refund"))),)


def _must_be_about(answer: Mapping[str, Any], **ids: str) -> None:
    """Checks that an answer is about the ids that were asked for: its signature proves only that Alipay sent
    it.

    Raises:
        GatewayUnreachable: an id differs.
    """
    if any(answer.get(name) != value for name, value in ids.items()):
        raise GatewayUnreachable("the answer is about something else")


def _is_alipays(host: str, gateway_url: str) -> bool:
    """Whether a bill's host belongs to Alipay or, for a simulator, is that of the gateway."""
    return host == urlsplit(gateway_url).hostname or host.endswith((".alipay.com", ".alipaydev.com"))
