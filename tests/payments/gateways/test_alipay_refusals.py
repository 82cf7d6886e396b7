"""The meaning of Alipay's codes, complete for the documented codes of the calls that we make."""

import pytest

from payments.gateways.alipay.refusals import UNKNOWN_OUTCOME, rejection
from payments.gateways.protocol import Refusal

# The error enums of Alipay's OpenAPI description for these calls.
DOCUMENTED = {
    "alipay.trade.precreate": """
        ACCESS_FORBIDDEN APPLY_PC_MERCHANT_CODE_ERROR BEYOND_PAY_RESTRICTION BEYOND_PER_RECEIPT_DAY_RESTRICTION BEYOND_PER_RECEIPT_RESTRICTION
        BEYOND_PER_RECEIPT_SINGLE_RESTRICTION BUYER_ENABLE_STATUS_FORBID BUYER_NOT_EXIST BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR
        BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR BUYER_SELLER_EQUAL CONTEXT_INCONSISTENT ERROR_BUYER_CERTIFY_LEVEL_LIMIT EXIST_FORBIDDEN_WORD
        INVALID_PARAMETER INVALID_RECEIVE_ACCOUNT NOW_TIME_AFTER_EXPIRE_TIME_ERROR PARTNER_ERROR SELLER_BEEN_BLOCKED SELLER_NOT_EXIST
        TOTAL_FEE_EXCEED TRADE_BUYER_NOT_MATCH TRADE_HAS_CLOSE TRADE_HAS_SUCCESS
    """,
    "alipay.trade.query": "INVALID_PARAMETER TRADE_NOT_EXIST",
    "alipay.trade.close": "INVALID_PARAMETER REASON_ILLEGAL_STATUS REASON_TRADE_STATUS_INVALID TRADE_NOT_EXIST TRADE_STATUS_ERROR",
    "alipay.trade.refund": """
        BUYER_ENABLE_STATUS_FORBID BUYER_ERROR BUYER_NOT_EXIST CURRENCY_NOT_SUPPORT CUSTOMER_VALIDATE_ERROR DISCORDANT_REPEAT_REQUEST
        INVALID_PARAMETER NOT_ALLOW_PARTIAL_REFUND ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND REASON_TRADE_BEEN_FREEZEN REASON_TRADE_REFUND_FEE_ERR
        REASON_TRADE_STATUS_INVALID REFUND_ACCOUNT_NOT_EXIST REFUND_AMT_NOT_EQUAL_TOTAL REFUND_FEE_ERROR SELLER_BALANCE_NOT_ENOUGH
        TRADE_HAS_CLOSE TRADE_HAS_FINISHED TRADE_NOT_ALLOW_REFUND TRADE_NOT_EXIST TRADE_STATUS_ERROR USER_NOT_MATCH_ERR
    """,
}
# Refusals of a refund that no repeat can change.
FINAL = """
    TRADE_NOT_EXIST TRADE_STATUS_ERROR TRADE_HAS_FINISHED TRADE_HAS_CLOSE INVALID_PARAMETER DISCORDANT_REPEAT_REQUEST REASON_TRADE_REFUND_FEE_ERR
    REFUND_AMT_NOT_EQUAL_TOTAL TRADE_NOT_ALLOW_REFUND REFUND_FEE_ERROR REASON_TRADE_STATUS_INVALID REASON_ILLEGAL_STATUS TRADE_REFUND_FEE_ERR
"""
MEANINGS = {
    "TRADE_HAS_SUCCESS": Refusal.ALREADY_PAID,
    "TRADE_HAS_CLOSE": Refusal.TRADE_CLOSED,
    "TRADE_HAS_FINISHED": Refusal.TRADE_FINISHED,
    "TRADE_NOT_EXIST": Refusal.UNKNOWN_TRADE,
    "TRADE_STATUS_ERROR": Refusal.WRONG_STATE,
    "TOTAL_FEE_EXCEED": Refusal.AMOUNT_OVER_LIMIT,
    "BEYOND_PAY_RESTRICTION": Refusal.AMOUNT_OVER_LIMIT,
    "BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR": Refusal.BUYER_NOT_ALLOWED,
    "BUYER_SELLER_EQUAL": Refusal.BUYER_NOT_ALLOWED,
    "ACCESS_FORBIDDEN": Refusal.NOT_PERMITTED,
    "REASON_TRADE_REFUND_FEE_ERR": Refusal.REFUND_OVER_AMOUNT,
    "DISCORDANT_REPEAT_REQUEST": Refusal.REFUND_DISCORDANT,
    "SELLER_BALANCE_NOT_ENOUGH": Refusal.INSUFFICIENT_FUNDS,
    "INVALID_PARAMETER": Refusal.INVALID_REQUEST,
}


@pytest.mark.parametrize("method", DOCUMENTED)
def test_every_documented_code_has_a_meaning(method: str) -> None:
    for code in DOCUMENTED[method].split():
        assert rejection(f"ACQ.{code}", "").refusal is not Refusal.OTHER, code


@pytest.mark.parametrize(("code", "refusal"), MEANINGS.items())
def test_code_means(code: str, refusal: Refusal) -> None:
    assert rejection(f"ACQ.{code}", "").refusal is refusal


def test_final_is_what_no_repeat_can_change() -> None:
    assert all(rejection(f"ACQ.{code}", "").is_final for code in FINAL.split())
    assert not any(
        rejection(f"ACQ.{code}", "").is_final
        for code in ("SELLER_BALANCE_NOT_ENOUGH", "REASON_TRADE_BEEN_FREEZEN", "ACCESS_FORBIDDEN")
    )


def test_code_that_we_do_not_know_is_a_no_for_this_time_only() -> None:
    unknown = rejection("ACQ.NEVER_HEARD_OF", "不行")
    assert (unknown.refusal, unknown.code, unknown.is_final, str(unknown)) == (
        Refusal.OTHER, "ACQ.NEVER_HEARD_OF", False, "ACQ.NEVER_HEARD_OF 不行",
    )  # fmt: skip


def test_system_error_is_no_refusal_in_either_spelling() -> None:
    assert {"ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR"} == UNKNOWN_OUTCOME
