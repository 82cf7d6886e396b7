"""Every fault the simulator can inject: its category, what it does in both languages, the parameters it
takes, and what a rule can be narrowed by.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FaultKind:
    name: str
    category: str
    chinese: str
    english: str
    filters: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)


def _gateway(name: str, chinese: str, english: str, **params: Any) -> FaultKind:
    return FaultKind(name, "gateway", chinese, english, ("app_id", "out_trade_no", "method"), params)


def _notification(name: str, chinese: str, english: str, **params: Any) -> FaultKind:
    return FaultKind(
        name, "notification", chinese, english, ("app_id", "out_trade_no", "trade_status"), params
    )


def _business(name: str, chinese: str, english: str, **params: Any) -> FaultKind:
    return FaultKind(name, "business", chinese, english, ("app_id", "out_trade_no"), params)


KINDS = {
    kind.name: kind
    for kind in (
        _gateway(
            "http_error", "网关返回 HTTP 5xx", "the gateway answers HTTP 5xx", status=502, after_commit=False
        ),
        _gateway(
            "hang",
            "网关长时间不响应，然后断开",
            "no answer for a while, then the connection closes",
            seconds=60.0,
            after_commit=False,
        ),
        _gateway("slow", "网关响应很慢，但完整", "the complete answer comes late", seconds=1.0),
        _gateway(
            "drip", "网关一个字节一个字节地响应", "the answer arrives a few bytes at a time", seconds=10.0
        ),
        _gateway(
            "disconnect",
            "不响应直接断开连接（默认业务已生效）",
            "the connection closes without an answer",
            after_commit=True,
        ),
        _gateway("truncate", "响应正文被截断", "the body breaks off halfway"),
        _gateway("garbage", "响应正文不是 JSON", "the body is not JSON"),
        _gateway("empty", "响应正文为空", "the body is empty"),
        _gateway(
            "unavailable",
            "返回 20000 服务不可用",
            "code 20000, before or after the effect",
            after_commit=False,
        ),
        _gateway(
            "system_error",
            "业务已生效却返回 ACQ.SYSTEM_ERROR",
            "40004 ACQ.SYSTEM_ERROR although the call took effect",
            after_commit=True,
        ),
        _gateway(
            "call_limited",
            "返回 40005 调用受限（per_second 大于 0：仅超出每秒次数的调用）",
            "code 40005 before any effect; with per_second above 0 only calls beyond that rate",
            per_second=0.0,
        ),
        _gateway("bad_sign", "响应签名错误", "the answer's signature is wrong"),
        _gateway("unsigned", "响应没有签名", "the answer has no signature"),
        _gateway(
            "other_trade", "返回另一笔交易的应答（签名有效）", "a validly signed answer for another trade"
        ),
        _gateway("lone_brace", "文本字段含单个 }", "a text field contains an unpaired }"),
        _gateway("error_response", "返回顶层 error_response", "a top-level error_response"),
        _notification(
            "duplicate", "同一通知依次重复发送", "the same notification several times in a row", count=1
        ),
        _notification(
            "concurrent", "同一通知并发发送", "the same notification several times at once", count=3
        ),
        _notification(
            "reorder",
            "压后到下一条通知之后发送",
            "held back until the merchant's next notification has been sent",
            seconds=60.0,
        ),
        _notification(
            "delay",
            "延迟发送（beyond_expiry：拖到订单过期之后）",
            "late; with beyond_expiry after the trade's expiry",
            seconds=60.0,
            beyond_expiry=False,
        ),
        _notification("drop", "不发送通知", "never sent"),
        _notification("wrong_key", "用别人的私钥签名", "signed with a third party's key"),
        _notification("sha1", "SHA1 签名（RSA）却声称 RSA2", "a SHA-1 signature under sign_type RSA2"),
        _notification("sign_type_missing", "缺少 sign_type", "no sign_type"),
        _notification(
            "sign_type_rsa", "sign_type 为 RSA（SHA1 签名）", "sign_type RSA with a SHA-1 signature"
        ),
        _notification("change", "修改字段后有效签名", "other field values, validly signed", fields={}),
        _notification(
            "tamper",
            "签名之后修改字段",
            "field values changed after signing",
            fields={"total_amount": "0.01"},
        ),
        _notification(
            "unknown_order",
            "商户订单号不存在（签名有效）",
            "an out_trade_no that the shop never issued, validly signed",
        ),
        _notification(
            "extra_fields",
            "多出未知字段（签名有效）",
            "unknown extra fields, validly signed",
            fields={"future_field": "1"},
        ),
        _notification("gbk", "GBK 编码的通知", "charset GBK"),
        _notification(
            "merged_fields",
            "相邻字段合并而签名仍有效",
            "two adjacent fields merged so that the signature stays valid",
            into="gmt_create",
        ),
        _notification("json_body", "JSON 正文", "a JSON body"),
        _notification(
            "replay_old", "同时重放一条旧通知", "an old notification of the merchant is sent again first"
        ),
        _business("pay_on_close", "关单的同时买家付款", "the buyer pays while the shop closes the trade"),
        _business(
            "pay_after_close",
            "关单返回交易不存在之后买家付款",
            "the buyer pays right after close has answered TRADE_NOT_EXIST",
        ),
        _business(
            "double_pay",
            "买家同时支付另一笔相同的订单",
            "the buyer also pays another open pay request with the same subject",
        ),
        _business(
            "refund_pending", "退款先返回 N，稍后成功", "fund_change N first, success later", seconds=60.0
        ),
        _business("refund_failed", "退款返回 N，最终失败", "fund_change N, and the money never moves"),
        _business("balance_empty", "商户余额不足，退款被拒", "the seller's balance doesn't cover the refund"),
        _business(
            "not_refundable",
            "不可退款的商品：付款后直接完结",
            "not refundable: the payment ends in TRADE_FINISHED at once",
        ),
        _business("bill_missing", "账单缺少该笔", "the trade's rows are missing from the bill"),
        FaultKind(
            "bill_extra",
            "business",
            "账单多出一笔陌生交易",
            "the bill has a row of an unknown trade",
            ("app_id",),
        ),
        _business(
            "bill_amount",
            "账单金额不符（difference 可为负，最多减到 0）",
            "the trade's amounts in the bill are larger, or smaller down to 0",
            difference="0.01",
        ),
    )
}
