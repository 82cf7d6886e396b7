"""Alipay's messages, and every trap of the SDK."""

import base64
import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.gateways.alipay import AlipayGateway, read_private_key, read_public_key
from payments.gateways.alipay.signed import signed_text
from payments.gateways.alipay.wire import beijing_time, from_beijing_time
from payments.gateways.call_limits import CallLimits
from payments.gateways.protocol import (
    GatewayError,
    GatewayLimited,
    GatewayRejected,
    GatewayUnreachable,
    InvalidSignature,
    Notice,
    PaymentIntent,
    RefundIntent,
    RefundMovement,
    Refusal,
    TradeReport,
    TradeStatus,
)
from payments.models import Payment
from tests.payments.alipay_side import (
    APP_ID,
    SELLER_ID,
    encoded,
    gateway_server,
    key,
    make_gateway,
    notification,
    paid_fields,
    refund_changes,
    rsa,
    sha1,
    signed_answer,
    signed_form,
)

D = Decimal
PAYMENT = Payment(pk=7, out_trade_no="20260302ABCP1", amount=D("100.11"))
INTENT = PaymentIntent("20260302ABCP1", D("100.10"), "课程 A&B=C/D", datetime(2026, 3, 2, 16, 30, tzinfo=UTC))
REFUND = RefundIntent("20260302ABCP1", "20260302ABCR1", D("9.90"), "不想要了")
QUERY = "alipay.trade.query"
ANSWER = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "20260302ABCP1",
    "trade_no": "2026030222001400000000000007",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "100.11",
    "send_pay_date": "2026-03-02 12:01:04",
}


def read(gateway: AlipayGateway, form: Mapping[str, str]) -> Notice:
    return gateway.verify_notification({}, encoded(form).encode())


# --- Notifications ------------------------------------------------------------------------------------------


def test_genuine_notification_is_read(gateway: AlipayGateway) -> None:
    assert read(gateway, notification(PAYMENT)).report == TradeReport(
        out_trade_no="20260302ABCP1",
        trade_no="20260302220014" + "7".zfill(14),
        status=TradeStatus.PAID,
        total_amount=D("100.11"),
        app_id=APP_ID,
        seller_id=SELLER_ID,
        paid_at=datetime(2026, 3, 2, 4, 1, 4, tzinfo=UTC),
        refunded=D("0.00"),
        told_at=datetime(2026, 3, 2, 4, 1, 5, tzinfo=UTC),
    )


def test_notice_has_what_staff_and_the_inbox_need(gateway: AlipayGateway) -> None:
    form = notification(PAYMENT)
    notice = read(gateway, form)
    assert (notice.provider, notice.notice_id, notice.status_text) == (
        "alipay",
        form["notify_id"],
        "TRADE_SUCCESS",
    )
    der = key("alipay").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert notice.verified_by == hashlib.sha256(der).hexdigest()[:16]


def test_facts_have_one_key_however_often_they_are_delivered(gateway: AlipayGateway) -> None:
    first = read(gateway, notification(PAYMENT))
    # The key that the inbox has always stored, so facts are recognised across releases.
    facts = {
        name: value
        for name, value in paid_fields(PAYMENT).items()
        if name not in {"notify_id", "notify_time"}
    }
    assert first.facts_key == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    again = read(gateway, notification(PAYMENT, notify_id="other", notify_time="2026-03-02 12:05:05"))
    assert (again.facts_key, again.notice_id) == (first.facts_key, "other")
    assert read(gateway, notification(PAYMENT, trade_status="TRADE_FINISHED")).facts_key != first.facts_key


def test_refund_in_a_notification_is_read(gateway: AlipayGateway) -> None:
    report = read(
        gateway, notification(PAYMENT, trade_status="TRADE_CLOSED", **refund_changes("100.11"))
    ).report
    assert (report.status, report.refunded) == (TradeStatus.CLOSED, D("100.11"))
    assert report.movements == (
        RefundMovement("R1", None, datetime(2026, 3, 2, 5, 0, 0, 123_000, tzinfo=UTC)),
    )
    assert not report.is_current


@pytest.mark.parametrize("extra", [{"voucher_detail_list": "[]"}, {"body": ""}, {"gmt_close": ""}])
def test_fields_that_we_do_not_know_or_that_are_empty_are_signed_too(
    gateway: AlipayGateway, extra: dict[str, str]
) -> None:
    assert read(gateway, notification(PAYMENT, **extra)).report.out_trade_no == "20260302ABCP1"


def _changed(**changes: str | None) -> dict[str, str]:
    """A genuine notification, changed after Alipay signed it."""
    return {name: value for name, value in {**notification(PAYMENT), **changes}.items() if value is not None}


def _without(*names: str) -> dict[str, str]:
    return signed_form({name: value for name, value in paid_fields(PAYMENT).items() if name not in names})


FORGERIES: dict[str, dict[str, str]] = {
    "amount changed": _changed(total_amount="0.01"),
    "order changed": _changed(out_trade_no="20260302ABDP1"),
    "field added": _changed(extra="1"),
    "field removed": _changed(buyer_id=None),
    "no sign": _changed(sign=None),
    "empty sign": _changed(sign=""),
    "junk sign": _changed(sign="AAA"),
    "sign of another message": _changed(sign=rsa("x")),
    "sign with a newline": _changed(sign=notification(PAYMENT)["sign"] + "\n"),
    "sign with more behind": _changed(sign=notification(PAYMENT)["sign"] + "AAAA"),
    "sign with a star": _changed(sign="*" + notification(PAYMENT)["sign"]),
    "no sign_type": _changed(sign_type=None),
    "RSA": _changed(sign_type="RSA"),
    "MD5": _changed(sign_type="MD5"),
    "rsa2": _changed(sign_type="rsa2"),
    "empty sign_type": _changed(sign_type=""),
    "SHA1 signed": signed_form(paid_fields(PAYMENT), digest=sha1()),
    "SHA1 signed as RSA": signed_form(paid_fields(PAYMENT), digest=sha1(), sign_type="RSA"),
    "another key": signed_form(paid_fields(PAYMENT), signer="stranger"),
    "our own key": signed_form(paid_fields(PAYMENT), signer="app"),
    **{f"no {name}": _without(name) for name in ("app_id", "seller_id", "trade_no", "out_trade_no",
            "trade_status", "total_amount", "notify_id", "notify_time")},
    "another type": notification(PAYMENT, notify_type="dut_user_sign"),
    "no type": _without("notify_type"),
    "unknown status": notification(PAYMENT, trade_status="TRADE_PENDING"),
    "amount with a sign": notification(PAYMENT, total_amount="-100.11"),
    "amount in words": notification(PAYMENT, total_amount="1e2"),
    "amount with fractions of a fen": notification(PAYMENT, total_amount="100.111"),
    "impossible time": notification(PAYMENT, gmt_payment="2026-02-30 12:00:00"),
    "swallowed neighbour": notification(PAYMENT,
        gmt_payment="2026-03-02 12:01:04&gmt_refund=2026-03-02 12:02:00"),
    "number with a path": notification(PAYMENT, out_trade_no="../1"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORGERIES.values(), ids=FORGERIES)
def test_anything_else_is_refused(gateway: AlipayGateway, form: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        read(gateway, form)


@cache
def _both_clients() -> tuple[Any, Any]:
    from alipay import AliPay

    private_pem = (
        key("app").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    )
    public_pem = (
        key("alipay").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
    return make_gateway()._client, AliPay(
        appid=APP_ID, app_private_key_string=private_pem, alipay_public_key_string=public_pem
    )


@settings(max_examples=25)
@given(text=st.text(max_size=40))
def test_openssl_and_the_sdk_sign_and_verify_alike(text: str) -> None:
    ours, sdk = _both_clients()
    assert ours._sign(text) == sdk._sign(text)
    good, bad = rsa(text), rsa(text + "x")
    assert (
        [ours._verify(text, good), ours._verify(text, bad)]
        == [sdk._verify(text, good), sdk._verify(text, bad)]
        == [True, False]
    )


# Names and values that look like field separators, and any other text.
_WORDS = st.text(max_size=8) | st.sampled_from(["sign", "sign_type", "a", "a=b", "&", "=", "", "课程"])


@settings(max_examples=50)
@given(fields=st.dictionaries(_WORDS, _WORDS, max_size=6))
def test_signed_text_is_the_one_that_the_sdk_joins(fields: dict[str, str]) -> None:
    _, sdk = _both_clients()
    form = {**fields, "sign_type": "RSA2", "sign": "x"}
    signature = rsa(signed_text(form))
    assert sdk.verify({name: value for name, value in form.items() if name != "sign"}, signature)


# --- The way back from the cashier --------------------------------------------------------------------------

RETURN = {
    "charset": "utf-8",
    "out_trade_no": "20260302ABCP1",
    "method": "alipay.trade.page.pay.return",
    "total_amount": "100.11",
    "trade_no": "2026030222001400000000000007",
    "auth_app_id": APP_ID,
    "version": "1.0",
    "app_id": APP_ID,
    "seller_id": SELLER_ID,
    "timestamp": "2026-03-02 12:01:10",
}


def test_return_names_its_trade(gateway: AlipayGateway) -> None:
    assert gateway.verify_return(signed_form(RETURN)) == "20260302ABCP1"


@pytest.mark.parametrize(
    "change", [{"out_trade_no": "X"}, {"sign": "AAA"}, {"sign_type": "RSA"}, {"page": "1"}]
)
def test_forged_return_is_refused(gateway: AlipayGateway, change: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        gateway.verify_return({**signed_form(RETURN), **change})


# --- Requests -----------------------------------------------------------------------------------------------


def _read(query: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The parameters of a signed request and its biz_content, after verifying its signature as the gateway
    does.
    """
    parameters = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != "sign")
    key("app").public_key().verify(base64.b64decode(parameters["sign"]), text.encode(), PKCS1v15(), SHA256())
    return parameters, json.loads(parameters["biz_content"])


@pytest.mark.parametrize(
    ("way", "product"), [("page_url", "FAST_INSTANT_TRADE_PAY"), ("wap_url", "QUICK_WAP_WAY")]
)
def test_cashier_address(gateway: AlipayGateway, way: str, product: str) -> None:
    url = getattr(gateway, way)(INTENT)
    assert url.startswith("http://127.0.0.1:9/gateway.do?")
    parameters, content = _read(urlsplit(url).query)
    assert (parameters["app_id"], parameters["sign_type"], parameters["charset"], parameters["version"]) == (
        APP_ID,
        "RSA2",
        "utf-8",
        "1.0",
    )
    assert parameters["notify_url"] == "https://shop.test/api/v1/payments/alipay/notify/"
    assert parameters["return_url"] == "https://shop.test/api/v1/payments/alipay/return/"
    assert content == {
        "subject": "课程 A B C D",
        "out_trade_no": "20260302ABCP1",
        "total_amount": "100.10",
        "product_code": product,
        "time_expire": "2026-03-03 00:30:00",
    }


def test_app_order_string(gateway: AlipayGateway) -> None:
    parameters, content = _read(gateway.app_order_string(INTENT))
    assert (parameters["method"], content["product_code"], content["total_amount"]) == (
        "alipay.trade.app.pay",
        "QUICK_MSECURITY_PAY",
        "100.10",
    )


def test_requests_are_stamped_in_beijing_time(gateway: AlipayGateway) -> None:
    parameters, _ = _read(urlsplit(gateway.page_url(INTENT)).query)
    stamp = from_beijing_time(parameters["timestamp"])
    assert stamp is not None
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 10


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 2, 16, 0, 1, tzinfo=UTC), "2026-03-03 00:00:01"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 08:00:00"),
    ],
)
def test_beijing_time_both_ways(moment: datetime, text: str) -> None:
    assert beijing_time(moment) == text
    assert from_beijing_time(text) == moment


# --- Synchronous answers ------------------------------------------------------------------------------------


def test_query() -> None:
    with gateway_server(lambda asked: signed_answer(QUERY, ANSWER)) as told:
        report = make_gateway(told.url).query("20260302ABCP1")
    assert report == TradeReport(
        "20260302ABCP1", "2026030222001400000000000007", TradeStatus.PAID, D("100.11"), APP_ID, None,
        datetime(2026, 3, 2, 4, 1, 4, tzinfo=UTC),
        refunded=None, is_current=True,
    )  # fmt: skip
    assert [json.loads(asked["biz_content"]) for asked in told.asked] == [{"out_trade_no": "20260302ABCP1"}]


@pytest.mark.parametrize("text", ["}", "{", "{}", '{"a":"}"}', '反斜杠 \\ 与引号 "'])
def test_braces_in_a_text_do_no_harm(text: str) -> None:
    with gateway_server(
        lambda asked: signed_answer(QUERY, {**ANSWER, "subject": text, "store_name": text})
    ) as told:
        report = make_gateway(told.url).query("20260302ABCP1")
    assert report is not None


def test_sign_before_the_body_and_spaces_do_no_harm() -> None:
    raw = json.dumps(ANSWER, indent=2)
    body = f'{{"sign":"{rsa(raw)}","alipay_cert_sn":"x","alipay_trade_query_response": {raw}}}'.encode()
    with gateway_server(lambda asked: body) as told:
        assert make_gateway(told.url).query("20260302ABCP1") is not None


def test_trade_that_alipay_does_not_know_is_none() -> None:
    answer = signed_answer(
        QUERY,
        {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": "ACQ.TRADE_NOT_EXIST",
            "sub_msg": "交易不存在",
        },
    )
    with gateway_server(lambda asked: answer) as told:
        assert make_gateway(told.url).query("20260302ABCP1") is None


def test_other_business_refusal_is_definite() -> None:
    answer = signed_answer(
        QUERY, {"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER", "sub_msg": "参数无效"}
    )
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayRejected) as refusal:
        make_gateway(told.url).query("20260302ABCP1")
    assert (refusal.value.refusal, refusal.value.code, refusal.value.is_final) == (
        Refusal.INVALID_REQUEST,
        "ACQ.INVALID_PARAMETER",
        True,
    )


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ({"code": "40001", "sub_code": "isv.missing-timestamp"}, Refusal.INVALID_REQUEST),
        ({"code": "40002", "sub_code": "isv.invalid-signature"}, Refusal.INVALID_REQUEST),
        ({"code": "40003", "sub_code": "isv.missing-signature-config"}, Refusal.NOT_PERMITTED),
        ({"code": "40006", "sub_code": "isv.insufficient-isv-permissions"}, Refusal.NOT_PERMITTED),
        ({"code": "40006"}, Refusal.NOT_PERMITTED),
    ],
)
def test_request_that_alipay_refuses_before_any_effect_is_rejected(
    answer: dict[str, str], refusal: Refusal
) -> None:
    with (
        gateway_server(lambda asked: signed_answer(QUERY, answer)) as told,
        pytest.raises(GatewayRejected) as rejected,
    ):
        make_gateway(told.url).query("20260302ABCP1")
    assert (rejected.value.refusal, rejected.value.is_final) == (refusal, False)
    assert rejected.value.code == answer.get("sub_code", answer["code"])


def _drip() -> Iterator[bytes]:
    answer = signed_answer(QUERY, ANSWER)
    for position in range(0, len(answer), 8):
        yield answer[position : position + 8]
        time.sleep(0.1)


UNKNOWN: dict[str, Any] = {
    "unsigned success": json.dumps({"alipay_trade_query_response": ANSWER}).encode(),
    "unsigned error": b'{"alipay_trade_query_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}',
    "error_response": b'{"error_response":{"code":"40002"},"sign":"x"}',
    "wrong signature": signed_answer(QUERY, ANSWER, signer="stranger"),
    "our own signature": signed_answer(QUERY, ANSWER, signer="app"),
    "changed after signing": signed_answer(QUERY, ANSWER).replace(b"100.11", b"000.01"),
    "sign that is no base64": b'{"alipay_trade_query_response":{"code":"10000"},"sign":"x"}',
    "another method's answer": signed_answer("alipay.trade.refund", ANSWER),
    "another trade's answer": signed_answer(QUERY, {**ANSWER, "out_trade_no": "OTHER"}),
    "no trade named": signed_answer(QUERY, {"code": "10000"}),
    "not a trade": signed_answer(QUERY, {**ANSWER, "trade_status": "TRADE_PENDING"}),
    "amount that is none": signed_answer(QUERY, {**ANSWER, "total_amount": "abc"}),
    "20000": signed_answer(QUERY, {"code": "20000", "sub_code": "aop.ACQ.SYSTEM_ERROR"}),
    "system error": signed_answer(QUERY, {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}),
    "system error in the other spelling": signed_answer(
        QUERY, {"code": "40004", "sub_code": "AQC.SYSTEM_ERROR"}
    ),
    "40005": signed_answer(QUERY, {"code": "40005", "sub_code": "isv.app-call-limited"}),
    "unsigned 40006": b'{"alipay_trade_query_response":{"code":"40006",'
    b'"sub_code":"isv.insufficient-isv-permissions"}}',
    "40004 without a reason": signed_answer(QUERY, {"code": "40004"}),
    "null": b"null",
    "empty": b"",
    "truncated": signed_answer(QUERY, ANSWER)[:-40],
    "html": b"<html>502</html>",
    "GBK": signed_answer(QUERY, {**ANSWER, "subject": "课程"}).decode().encode("gbk"),
    "500": 500,
    "502": 502,
    "redirect": 302,
    "closed": None,
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN)
def test_unproven_answer_leaves_the_outcome_unknown(answer: Any) -> None:
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayUnreachable) as error:
        make_gateway(told.url).query("20260302ABCP1")
    assert len(told.asked) == 1
    assert "total_amount" not in str(error.value)


LIMITED: dict[str, Any] = {
    "app": signed_answer(QUERY, {"code": "40005", "sub_code": "isv.app-call-limited"}),
    "method": signed_answer(QUERY, {"code": "40005", "sub_code": "isv.method-call-limited"}),
    "without a reason": signed_answer(QUERY, {"code": "40005"}),
    "another code": signed_answer(QUERY, {"code": "40006", "sub_code": "isv.app-call-limited"}),
    "unsigned": b'{"alipay_trade_query_response":{"code":"40005","sub_code":"isv.app-call-limited"}}',
    "429": 429,
}


@pytest.mark.parametrize("answer", LIMITED.values(), ids=LIMITED)
def test_exceeding_the_rate_slows_later_calls_down(answer: Any) -> None:
    limits = CallLimits()
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayUnreachable) as error:
        make_gateway(told.url, limits=limits).query("20260302ABCP1")
    assert limits.free(64) < 64
    # An unsigned refusal slows down, too, but proves nothing about the call.
    assert isinstance(error.value, GatewayLimited) == (isinstance(answer, bytes) and b'"sign":' in answer)


def test_other_refusals_do_not_slow_anything_down() -> None:
    limits = CallLimits()
    answer = signed_answer(QUERY, {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"})
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayUnreachable):
        make_gateway(told.url, limits=limits).query("20260302ABCP1")
    assert limits.free(64) == 64


def test_slow_drip_ends_at_the_deadline() -> None:
    with gateway_server(lambda asked: _drip()) as told:
        started = time.monotonic()
        with pytest.raises(GatewayUnreachable):
            make_gateway(told.url, timeout_s=1).query("20260302ABCP1")
        assert time.monotonic() - started < 3


def test_refused_connection_leaves_the_outcome_unknown(gateway: AlipayGateway) -> None:
    with pytest.raises(GatewayUnreachable):
        gateway.query("20260302ABCP1")


def test_too_large_an_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.gateways.alipay.client.MAX_ANSWER_BYTES", 100)
    with (
        gateway_server(lambda asked: signed_answer(QUERY, ANSWER)) as told,
        pytest.raises(GatewayUnreachable),
    ):
        make_gateway(told.url).query("20260302ABCP1")


# --- QR, close, refund, bill --------------------------------------------------------------------------------


def test_qr() -> None:
    answer = {"code": "10000", "out_trade_no": "20260302ABCP1", "qr_code": "https://qr.alipay.com/bax1"}
    with gateway_server(lambda asked: signed_answer("alipay.trade.precreate", answer)) as told:
        assert make_gateway(told.url).create_qr(INTENT) == "https://qr.alipay.com/bax1"
    (asked,) = told.asked
    assert asked["notify_url"] == "https://shop.test/api/v1/payments/alipay/notify/"
    assert json.loads(asked["biz_content"])["total_amount"] == "100.10"


def test_close() -> None:
    with gateway_server(
        lambda asked: signed_answer("alipay.trade.close", {"code": "10000", "out_trade_no": "20260302ABCP1"})
    ) as told:
        make_gateway(told.url).close("20260302ABCP1")
    assert told.asked[0]["method"] == "alipay.trade.close"


def test_close_of_a_trade_that_alipay_does_not_know_is_done() -> None:
    with gateway_server(
        lambda asked: signed_answer(
            "alipay.trade.close", {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
        )
    ) as told:
        make_gateway(told.url).close("20260302ABCP1")
    assert len(told.asked) == 1


def test_close_of_a_paid_trade_is_refused() -> None:
    answer = signed_answer("alipay.trade.close", {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"})
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayRejected):
        make_gateway(told.url).close("20260302ABCP1")


@pytest.mark.parametrize(("change", "is_done"), [("Y", True), ("N", False), (None, False)])
def test_refund_is_done_only_when_money_moved(change: str | None, is_done: bool) -> None:
    answer = {"code": "10000", "out_trade_no": "20260302ABCP1", **({"fund_change": change} if change else {})}
    with gateway_server(lambda asked: signed_answer("alipay.trade.refund", answer)) as told:
        assert make_gateway(told.url).refund(REFUND) is is_done
    assert json.loads(told.asked[0]["biz_content"]) == {
        "out_trade_no": "20260302ABCP1",
        "out_request_no": "20260302ABCR1",
        "refund_amount": "9.90",
        "refund_reason": "不想要了",
    }


REFUND_QUERY = "alipay.trade.fastpay.refund.query"
REFUND_ANSWER = {
    "code": "10000",
    "out_trade_no": "20260302ABCP1",
    "out_request_no": "20260302ABCR1",
    "refund_status": "REFUND_SUCCESS",
    "refund_amount": "9.90",
}


def find_refund(answer: dict[str, str]) -> RefundMovement | None:
    with gateway_server(lambda asked: signed_answer(REFUND_QUERY, answer)) as told:
        found = make_gateway(told.url).find_refund("20260302ABCP1", "20260302ABCR1")
    assert [json.loads(asked["biz_content"]) for asked in told.asked] == [
        {
            "out_trade_no": "20260302ABCP1",
            "out_request_no": "20260302ABCR1",
            "query_options": ["gmt_refund_pay"],
        }
    ]
    return found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, RefundMovement("20260302ABCR1", D("9.90"), None)),
        ({"refund_status": ""}, RefundMovement("20260302ABCR1", D("9.90"), None)),
        ({"refund_amount": "12.5"}, RefundMovement("20260302ABCR1", D("12.50"), None)),
        (
            {"gmt_refund_pay": "2026-03-02 13:00:00"},
            RefundMovement("20260302ABCR1", D("9.90"), datetime(2026, 3, 2, 5, 0, tzinfo=UTC)),
        ),
        ({"gmt_refund_pay": "soon"}, RefundMovement("20260302ABCR1", D("9.90"), None)),
        ({"refund_status": "REFUND_PROCESSING"}, None),
        ({"refund_amount": ""}, None),
    ],
)
def test_refund_is_found_with_its_own_amount_and_time(
    change: dict[str, str], found: RefundMovement | None
) -> None:
    assert find_refund({**REFUND_ANSWER, **change}) == found


def test_refund_that_alipay_does_not_have_is_none() -> None:
    assert find_refund({"code": "10000", "msg": "Success"}) is None


@pytest.mark.parametrize("change", [{"out_request_no": "OTHER"}, {"out_trade_no": "OTHER"}])
def test_query_of_another_refund_proves_nothing(change: dict[str, str]) -> None:
    with pytest.raises(GatewayUnreachable):
        find_refund({**REFUND_ANSWER, **change})


def test_bill_is_fetched_from_beside_the_gateway() -> None:
    def answer(asked: dict[str, str]) -> bytes:
        if "method" not in asked:
            return b"PK\x03\x04 bill"
        url = told.url.replace("gateway.do", "bill?token=1")
        return signed_answer(
            "alipay.data.dataservice.bill.downloadurl.query", {"code": "10000", "bill_download_url": url}
        )

    with gateway_server(answer) as told:
        assert (
            make_gateway(told.url).download_bill(datetime(2026, 3, 1, tzinfo=UTC).date())
            == b"PK\x03\x04 bill"
        )


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://localhost.evil.test/",
        "https://alipay.com.evil.test/x",
        "",
        "http://[::1]/",
    ],
)
def test_bill_elsewhere_is_not_fetched(url: str) -> None:
    answer = signed_answer(
        "alipay.data.dataservice.bill.downloadurl.query", {"code": "10000", "bill_download_url": url}
    )
    with gateway_server(lambda asked: answer) as told, pytest.raises(GatewayUnreachable):
        make_gateway(told.url).download_bill(datetime(2026, 3, 1, tzinfo=UTC).date())
    assert len(told.asked) == 1


def test_bill_that_cannot_be_fetched() -> None:
    def answer(asked: dict[str, str]) -> bytes | int:
        url = told.url.replace("gateway.do", "bill")
        return (
            signed_answer(
                "alipay.data.dataservice.bill.downloadurl.query", {"code": "10000", "bill_download_url": url}
            )
            if asked
            else 500
        )

    with gateway_server(answer) as told, pytest.raises(GatewayError):
        make_gateway(told.url).download_bill(datetime(2026, 3, 1, tzinfo=UTC).date())


# --- Keys and settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_private_key_in_every_form_of_alipays_tool(
    tmp_path: Path, form: PrivateFormat, encoding: Encoding
) -> None:
    written = key("app").private_bytes(encoding, form, NoEncryption())
    path = tmp_path / "key"
    path.write_bytes(written if encoding == Encoding.PEM else base64.b64encode(written) + b"\n")
    assert read_private_key(path).private_numbers() == key("app").private_numbers()


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_public_key_with_and_without_header(tmp_path: Path, encoding: Encoding) -> None:
    written = key("alipay").public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "key"
    path.write_bytes(written if encoding == Encoding.PEM else base64.b64encode(written))
    assert read_public_key(path).public_numbers() == key("alipay").public_key().public_numbers()


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = generate_ec_key(SECP256R1())
    path = tmp_path / "key"
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="not an RSA private key"):
        read_private_key(path)
    path.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ValueError, match="not an RSA public key"):
        read_public_key(path)
    path.write_bytes(b"AAAA")
    with pytest.raises(ValueError, match=r"."):
        read_private_key(path)


def test_importing_the_gateway_leaves_logging_alone() -> None:
    """The SDK configures logging on import, which would close all existing handlers."""
    program = (
        "import logging, logging.config\n"
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)\n"
        "configure = logging.config.dictConfig\n"
        "import payments.gateways.alipay\n"
        "assert logging.getLogger().handlers == [handler], logging.getLogger().handlers\n"
        "assert logging.config.dictConfig is configure\n"
        "assert not logging.getLogger('python-alipay-sdk').handlers and not "
        "logging.getLogger('alipay').handlers\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert logging.getLogger().handlers
