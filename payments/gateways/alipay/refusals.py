"""The meaning of Alipay's business error codes.

The codes are from the error enums of alipay.trade.precreate, query, close, refund and fastpay.refund.query in
Alipay's OpenAPI description, without those for sub-merchants and royalties, which this shop doesn't use.
"""

from payments.gateways.protocol import GatewayRejected, Refusal

# The outcome is unknown, as without any answer: the call may have been carried out. The misspelt code is
# Alipay's own.
UNKNOWN_OUTCOME = frozenset({"ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR"})
UNKNOWN_TRADE = frozenset({"ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"})

# Each code's meaning, and whether it is final for the same request. What people can fix (a balance, a
# contract, a frozen account) and what passes with time (a daily limit) isn't final.
_REFUSALS: dict[str, tuple[Refusal, bool]] = {
    # The trade.
    **dict.fromkeys(UNKNOWN_TRADE, (Refusal.UNKNOWN_TRADE, True)),
    "ACQ.TRADE_HAS_SUCCESS": (Refusal.ALREADY_PAID, True),
    "ACQ.TRADE_HAS_CLOSE": (Refusal.TRADE_CLOSED, True),
    "ACQ.TRADE_HAS_FINISHED": (Refusal.TRADE_FINISHED, True),
    "ACQ.TRADE_STATUS_ERROR": (Refusal.WRONG_STATE, True),
    "ACQ.REASON_TRADE_STATUS_INVALID": (Refusal.WRONG_STATE, True),
    "ACQ.REASON_ILLEGAL_STATUS": (Refusal.WRONG_STATE, True),
    "ACQ.REASON_TRADE_BEEN_FREEZEN": (Refusal.WRONG_STATE, False),
    # The gateway's limits for this contract.
    "ACQ.TOTAL_FEE_EXCEED": (Refusal.AMOUNT_OVER_LIMIT, True),
    "ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION": (Refusal.AMOUNT_OVER_LIMIT, True),
    "ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION": (Refusal.AMOUNT_OVER_LIMIT, False),
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION": (Refusal.AMOUNT_OVER_LIMIT, False),
    "ACQ.BEYOND_PAY_RESTRICTION": (Refusal.AMOUNT_OVER_LIMIT, False),
    "ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT": (Refusal.AMOUNT_OVER_LIMIT, True),
    "ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT": (Refusal.AMOUNT_OVER_LIMIT, False),
    # The buyer.
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_SELLER_EQUAL": (Refusal.BUYER_NOT_ALLOWED, True),
    "ACQ.TRADE_BUYER_NOT_MATCH": (Refusal.BUYER_NOT_ALLOWED, True),
    "ACQ.BUYER_NOT_EXIST": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_ERROR": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_ENABLE_STATUS_FORBID": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.CUSTOMER_VALIDATE_ERROR": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.PAYMENT_REQUEST_HAS_RISK": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.ERROR_BALANCE_PAYMENT_DISABLE": (Refusal.BUYER_NOT_ALLOWED, False),
    "ACQ.PAYMENT_FAIL": (Refusal.BUYER_NOT_ALLOWED, False),
    # The merchant's contract and account.
    "ACQ.ACCESS_FORBIDDEN": (Refusal.NOT_PERMITTED, False),
    "ACQ.PARTNER_ERROR": (Refusal.NOT_PERMITTED, False),
    "ACQ.SELLER_BEEN_BLOCKED": (Refusal.NOT_PERMITTED, False),
    "ACQ.SELLER_NOT_EXIST": (Refusal.NOT_PERMITTED, False),
    "ACQ.INVALID_RECEIVE_ACCOUNT": (Refusal.NOT_PERMITTED, False),
    "ACQ.ERROR_SELLER_CERTIFY_LEVEL_LIMIT": (Refusal.NOT_PERMITTED, False),
    "ACQ.MERCHANT_AGREEMENT_NOT_EXIST": (Refusal.NOT_PERMITTED, False),
    "ACQ.MERCHANT_AGREEMENT_INVALID": (Refusal.NOT_PERMITTED, False),
    "ACQ.MERCHANT_STATUS_NOT_NORMAL": (Refusal.NOT_PERMITTED, False),
    "ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT": (Refusal.NOT_PERMITTED, False),
    # Returned both for a second QR code with the same number and for a shop without the contract for QR
    # codes.
    "ACQ.APPLY_PC_MERCHANT_CODE_ERROR": (Refusal.NOT_PERMITTED, False),
    "ACQ.EXIST_FORBIDDEN_WORD": (Refusal.NOT_PERMITTED, True),
    # The refund.
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": (Refusal.INSUFFICIENT_FUNDS, False),
    "ACQ.DISCORDANT_REPEAT_REQUEST": (Refusal.REFUND_DISCORDANT, True),
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": (Refusal.REFUND_OVER_AMOUNT, True),
    "ACQ.TRADE_REFUND_FEE_ERR": (Refusal.REFUND_OVER_AMOUNT, True),
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": (Refusal.REFUND_OVER_AMOUNT, True),
    "ACQ.REFUND_FEE_ERROR": (Refusal.REFUND_OVER_AMOUNT, True),
    "ACQ.TRADE_NOT_ALLOW_REFUND": (Refusal.NOT_PERMITTED, True),
    "ACQ.NOT_ALLOW_PARTIAL_REFUND": (Refusal.NOT_PERMITTED, True),
    "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND": (Refusal.NOT_PERMITTED, True),
    "ACQ.REFUND_ACCOUNT_NOT_EXIST": (Refusal.NOT_PERMITTED, False),
    # The request.
    "ACQ.INVALID_PARAMETER": (Refusal.INVALID_REQUEST, True),
    "ACQ.ILLEGAL_ARGUMENT": (Refusal.INVALID_REQUEST, True),
    "ACQ.CONTEXT_INCONSISTENT": (Refusal.INVALID_REQUEST, True),
    "ACQ.CURRENCY_NOT_SUPPORT": (Refusal.INVALID_REQUEST, True),
    "ACQ.USER_NOT_MATCH_ERR": (Refusal.INVALID_REQUEST, True),
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": (Refusal.INVALID_REQUEST, True),
    # Bills; their codes have no prefix. The third is also returned before a bill is ready.
    "NO_BILL_DATA": (Refusal.NO_BILL, True),
    "BILL_DATE_BEFORE_REGISTRATION": (Refusal.NO_BILL, True),
    "BILL_NOT_EXIST": (Refusal.NO_BILL, False),
}


# Rejected before any processing: once people have fixed a setting or the contract, the same request can
# succeed.
_AT_THE_DOOR = {
    "20001": Refusal.NOT_PERMITTED,
    "40001": Refusal.INVALID_REQUEST,
    "40002": Refusal.INVALID_REQUEST,
    "40003": Refusal.NOT_PERMITTED,
    "40006": Refusal.NOT_PERMITTED,
}


def is_limit_of_calls(code: str, sub_code: str) -> bool:
    """Whether the call was rejected because the app or the method was called too often:
    `isv.app-call-limited`, `isv.method-call-limited`.
    """
    return code == "40005" or sub_code.endswith("call-limited")


def find_rejection(code: str, sub_code: str, text: str) -> GatewayRejected | None:
    """The refusal that an answer's codes stand for; None if they leave the outcome unknown, as 20000 does."""
    if code in _AT_THE_DOOR:
        return GatewayRejected(_AT_THE_DOOR[code], sub_code or code, text, is_final=False)
    if code == "40004" and sub_code and sub_code not in UNKNOWN_OUTCOME:
        return rejection(sub_code, text)
    return None


def rejection(sub_code: str, text: str) -> GatewayRejected:
    """A business refusal.

    A code that isn't in the table isn't final: retries are bounded, and staff see the refusal in the end.
    """
    refusal, is_final = _REFUSALS.get(sub_code, (Refusal.OTHER, False))
    return GatewayRejected(refusal, sub_code, text, is_final=is_final)
