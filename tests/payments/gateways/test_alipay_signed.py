"""A signature covers names and values joined by = and &, so anybody with a genuine message can move the
boundaries between its fields.
"""

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from payments.gateways.alipay import AlipayGateway
from payments.gateways.alipay.signed import signed_text
from payments.gateways.protocol import InvalidSignature, Notice, RefundMovement, TradeReport
from payments.models import Payment
from payments.models.notification import read_fields
from tests.payments.alipay_side import (
    encoded,
    make_gateway,
    notification,
    paid_fields,
    refund_changes,
    rsa,
    signed_form,
)

PAYMENT = Payment(pk=7, out_trade_no="20260302ABCP1", amount=Decimal("100.11"))
# The fields that the report, the inbox and the choice of keys use.
USED = [
    "app_id", "seller_id", "trade_no", "out_trade_no", "trade_status", "total_amount", "notify_id",
    "notify_time", "notify_type", "gmt_payment",
    "refund_fee", "gmt_refund", "out_biz_no",
]  # fmt: skip


@cache
def shared_gateway() -> AlipayGateway:
    """One for all examples, since creating one takes longer than an example."""
    return make_gateway()


def read(gateway: AlipayGateway, form: Mapping[str, str]) -> Notice:
    return gateway.verify_notification({}, urlencode(form).encode())


def find_report(gateway: AlipayGateway, form: Mapping[str, str]) -> TradeReport | None:
    try:
        return read(gateway, form).report
    except InvalidSignature:
        return None


def genuine(**changes: str) -> dict[str, str]:
    """A partial refund's notification."""
    return paid_fields(PAYMENT, **{**refund_changes("69.00"), **changes})


def under_the_same_signature(fields: Mapping[str, str], borders_moved: Mapping[str, str]) -> dict[str, str]:
    assert signed_text(borders_moved) == signed_text(fields)
    return {**borders_moved, "sign_type": "RSA2", "sign": rsa(signed_text(fields))}


# --- Borders that were moved --------------------------------------------------------------------------------


def test_refund_hidden_in_a_name_is_refused(gateway: AlipayGateway) -> None:
    fields = genuine(receipt_amount="69.00")
    moved = {name: value for name, value in fields.items() if name not in {"receipt_amount", "refund_fee"}}
    moved["receipt_amount=69.00&refund_fee"] = "69.00"
    with pytest.raises(InvalidSignature, match="name"):
        read(gateway, under_the_same_signature(fields, moved))


def neighbours(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return itertools.pairwise(sorted(fields))


def merges(fields: Mapping[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each pair of adjacent fields merged: the second into the first one's value, and the first into the
    second one's name.
    """
    for first, second in neighbours(fields):
        rest = {name: value for name, value in fields.items() if name not in {first, second}}
        yield first, second, {**rest, first: f"{fields[first]}&{second}={fields[second]}"}
        yield first, second, {**rest, f"{first}={fields[first]}&{second}": fields[second]}


def test_no_field_that_is_used_can_be_hidden_in_a_neighbour(gateway: AlipayGateway) -> None:
    fields = genuine(
        body="x",
        passback_params="y",
        buyer_logon_id="z",
        voucher_detail_list="[]",
        seller_email="a@b.test",
        send_back_fee="69.00",
    )
    report = read(gateway, signed_form(fields)).report
    count = 0
    for first, second, moved in merges(fields):
        found = find_report(gateway, under_the_same_signature(fields, moved))
        assert found in {None, report}, (first, second)
        if {first, second} & set(USED):
            assert found is None, (first, second)
            count += 1
    assert count >= len(USED)


def test_every_field_that_is_used_is_refused_inside_any_other(gateway: AlipayGateway) -> None:
    """Even where it has no such neighbour in the current order of names."""
    for used in USED:
        for host in ("body", "voucher_detail_list", "buyer_open_id", "notify_time", "zz"):
            if host != used:
                with pytest.raises(InvalidSignature):
                    read(gateway, notification(PAYMENT, **{host: f"x&{used}=69.00"}))


NAMES = [
    "",
    " ",
    "a b",
    " refund_fee",
    "refund_fee ",
    "refund_fee\n",
    "a=b",
    "a&b",
    "a%b",
    "\x00",
    "a\x1f",
    "课程",
    "1a",
    "_a",
    "a" * 65,
    "a\u200b",
]


@pytest.mark.parametrize("name", NAMES)
def test_invalid_field_name_is_refused(gateway: AlipayGateway, name: str) -> None:
    with pytest.raises(InvalidSignature):
        read(gateway, signed_form({**paid_fields(PAYMENT), name: "1"}))


def test_names_that_differ_only_by_case_are_refused(gateway: AlipayGateway) -> None:
    with pytest.raises(InvalidSignature, match="case"):
        read(gateway, signed_form({**genuine(), "Refund_Fee": "0.01"}))


def test_return_has_to_have_the_same_form(gateway: AlipayGateway) -> None:
    fields = {
        "app_id": "2021000000000001",
        "charset": "utf-8",
        "out_trade_no": "20260302ABCP1",
        "seller_id": "2088000000000001",
        "total_amount": "1.00",
    }
    assert gateway.verify_return(signed_form(fields)) == "20260302ABCP1"
    for _, _, moved in merges(fields):
        with pytest.raises(InvalidSignature):
            gateway.verify_return(under_the_same_signature(fields, moved))


# Texts of buyers, merchants and Alipay, and texts that look like the start of a field.
_TEXT = st.lists(
    st.sampled_from(
        [
            "x",
            "1.00",
            "&",
            "=",
            "&a=",
            "&zz=1",
            "&refund_fee=",
            "&refund_x=",
            "&out_biz_no=R9",
            "&gmt_refund=",
            "&total_amount=0.01",
            "课",
        ]
    ),
    max_size=6,
).map("".join)
_UNUSED = st.sampled_from(
    [
        "a",
        "body",
        "buyer_id",
        "fund_bill_list",
        "gmt_close",
        "passback_params",
        "receipt_amount",
        "refund_x",
        "subject",
        "zz",
    ]
)
_REFUND = st.fixed_dictionaries(
    {}, optional={"refund_fee": st.just("69.00"), "out_biz_no": _TEXT | st.just("R1"), "gmt_refund": _TEXT}
)


@st.composite
def splittings(draw: st.DrawFn, text: str) -> dict[str, str]:
    """One way to cut a signed text into fields: at some of its &, each piece at one of its =."""
    pieces: list[str] = []
    for part in text.split("&"):
        # Most & are boundaries; otherwise few splittings would have all fields of a notification.
        if pieces and (draw(st.integers(0, 9)) == 0 or "=" not in part):
            pieces[-1] += f"&{part}"
        else:
            pieces.append(part)
    fields: dict[str, str] = {}
    for piece in pieces:
        parts = piece.split("=")
        at = 1 if draw(st.integers(0, 9)) else draw(st.integers(1, max(1, len(parts) - 1)))
        fields["=".join(parts[:at])] = "=".join(parts[at:])
    return fields


@settings(max_examples=150)
@given(data=st.data(), refund=_REFUND, unused=st.dictionaries(_UNUSED, _TEXT, max_size=4))
def test_one_signed_text_says_one_thing(
    data: st.DataObject, refund: dict[str, str], unused: dict[str, str]
) -> None:
    fields = {**paid_fields(PAYMENT), **refund, **unused}
    text, gateway = signed_text(fields), shared_gateway()
    signature = rsa(text)
    said = set()
    for form in [fields, *(data.draw(splittings(text)) for _ in range(6))]:
        if signed_text(form) != text:
            continue  # the fields sort into another order, so the signature doesn't match
        try:
            notice = read(gateway, {**form, "sign_type": "RSA2", "sign": signature})
        except InvalidSignature:
            continue
        said.add((notice.report, notice.facts_key))
    assume(said)
    assert len(said) == 1


# --- What isn't used isn't judged ---------------------------------------------------------------------------

UNEXPECTED: dict[str, dict[str, str]] = {
    "open id in the place of a number": {"buyer_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"},
    "open id with a sign": {"buyer_open_id": "0-_/+=A"},
    "amount in words": {
        "receipt_amount": "many",
        "invoice_amount": "-1",
        "point_amount": "1e2",
        "buyer_pay_amount": "0.123",
    },
    "time in words": {"gmt_close": "soon", "gmt_create": "2026-02-30 12:00:00"},
    "voucher with signs": {"voucher_detail_list": '[{"name":"Tom & Jerry = 2","x":"&"}]'},
    "address with a query": {"body": "https://shop.test/?a=1&b=2", "passback_params": "a=1&b=2&b=3"},
    "charset and version": {"charset": "UTF-8; x", "version": "one", "auth_app_id": "none", "method": "?"},
    "fields that we don't know": {"fundBillList": "[]", "x-y.z": "1", "hb_fq_pay_info": "{}"},
    "line breaks": {"subject": "a\nb\tc\x01"},
}


@pytest.mark.parametrize("changes", UNEXPECTED.values(), ids=UNEXPECTED)
def test_unexpected_form_of_what_is_not_used_is_no_reason_to_refuse(
    gateway: AlipayGateway, changes: dict[str, str]
) -> None:
    expected = read(gateway, notification(PAYMENT)).report
    form = notification(PAYMENT, **changes)
    assert read(gateway, form).report == expected
    assert read_fields(encoded(form), None) == form


def test_invalid_time_of_sending_is_left_out(gateway: AlipayGateway) -> None:
    assert read(gateway, notification(PAYMENT, notify_time="2026/03/02")).report.told_at is None


def test_buyer_named_by_open_id_alone(gateway: AlipayGateway) -> None:
    fields = {name: value for name, value in paid_fields(PAYMENT).items() if name != "buyer_id"}
    report = read(
        gateway, signed_form({**fields, "buyer_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"})
    ).report
    assert report == read(gateway, notification(PAYMENT)).report


@pytest.mark.parametrize("number", ["", "退款1", "R 1", "a&b 1", "x" * 65, "R\n1", "R1 "])
def test_refund_with_an_unusable_number_is_reported_as_a_sum_alone(
    gateway: AlipayGateway, number: str
) -> None:
    report = read(gateway, signed_form(genuine(out_biz_no=number))).report
    assert (report.refunded, report.movements) == (Decimal("69.00"), ())


@pytest.mark.parametrize("number", ["R1", "CONSOLE77", "a-b_c", "R/1:2#3", "R=1&2", "x" * 64])
def test_refund_is_reported_with_its_number(gateway: AlipayGateway, number: str) -> None:
    report = read(gateway, signed_form(genuine(out_biz_no=number))).report
    assert report.movements == (
        RefundMovement(number, None, datetime(2026, 3, 2, 5, 0, 0, 123_000, tzinfo=UTC)),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"gmt_refund": "soon"},
        {"gmt_refund": "20260302T120000+0000"},
        {"gmt_refund": "2026-02-30 12:00:00"},
        {"gmt_refund": ""},
    ],
)
def test_refund_without_a_usable_time_is_reported(gateway: AlipayGateway, changes: dict[str, str]) -> None:
    assert read(gateway, signed_form(genuine(**changes))).report.movements == (
        RefundMovement("R1", None, None),
    )


def test_number_without_a_sum_is_no_refund(gateway: AlipayGateway) -> None:
    report = read(gateway, notification(PAYMENT, out_biz_no="R1")).report
    assert (report.refunded, report.movements) == (Decimal("0.00"), ())


# --- What is used is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"refund_fee": "-1.00"}, {"refund_fee": "1e1"}, {"refund_fee": "0.001"}, {"refund_fee": "NaN"},
        {"total_amount": "１.00"},
        {"gmt_payment": "today"}, {"notify_id": "a b"}, {"trade_no": "x" * 65}, {"app_id": "x"},
        {"seller_id": "a@b.test"},
    ],
)  # fmt: skip
def test_unexpected_form_of_what_is_used_is_refused(gateway: AlipayGateway, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        read(gateway, signed_form(genuine(**changes)))
