"""The gateway's refusals, with their codes and Chinese texts."""

CODE_MESSAGES = {
    "20000": "Service Currently Unavailable",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40003": "Insufficient Conditions",
    "40004": "Business Failed",
    "40005": "Call Limited",
    "40006": "Insufficient Permissions",
}

SUB_MESSAGES = {
    "isp.unknow-error": "系统繁忙",
    "isv.missing-app-id": "缺少AppID参数",
    "isv.missing-method": "缺少方法名参数",
    "isv.missing-signature": "缺少签名参数",
    "isv.missing-signature-type": "缺少签名类型参数",
    "isv.missing-timestamp": "缺少时间戳参数",
    "isv.missing-version": "缺少版本参数",
    "isv.invalid-app-id": "无效的AppID参数",
    "isv.invalid-charset": "字符集错误",
    "isv.invalid-method": "不存在的方法名",
    "isv.invalid-signature": "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配",
    "isv.invalid-signature-type": "无效的签名类型",
    "isv.invalid-timestamp": "非法的时间戳参数",
    "isv.invalid-version": "无效的版本号",
    "isv.illegal-json": "JSON格式不正确",
    "isv.suspected-attack": "可疑的攻击请求",
    "isv.app-call-limited": "应用调用次数超限",
    "ACQ.SYSTEM_ERROR": "系统错误",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.TRADE_HAS_FINISHED": "交易已完结",
    "ACQ.TRADE_CANCEL_TIME_OUT": "超过撤销时间范围",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.TOTAL_FEE_EXCEED": "订单总金额不在允许范围内",
    "ACQ.BUYER_SELLER_EQUAL": "买卖家不能相同",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "当前时间已超过允许支付的时间",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "不一致的请求",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "退款金额无效",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": "商户的支付宝账户中无足够的资金进行退款",
    "NO_BILL_DATA": "无账单数据",
    "INVAILID_ARGUMENTS": "入参不合法",
    "BILL_NOT_EXIST": "账单不存在",
    "BILL_DATE_BEFORE_REGISTRATION": "账单日期早于注册日期",
    "TYPE_NOT_SUPPORTED": "账单类型不支持",
}


class GatewayError(Exception):
    """A refusal with the gateway's code and text.

    `fields` are echoed beside the codes; `is_signed` is false only for an unknown app.
    """

    def __init__(
        self,
        code: str,
        sub_code: str,
        *,
        detail: str = "",
        fields: dict[str, str] | None = None,
        is_signed: bool = True,
    ) -> None:
        super().__init__(sub_code)
        self.code = code
        self.sub_code = sub_code
        self.sub_msg = SUB_MESSAGES.get(sub_code, sub_code) + detail
        self.fields = fields or {}
        self.is_signed = is_signed

    def as_answer(self) -> dict[str, object]:
        return {
            "code": self.code,
            "msg": CODE_MESSAGES[self.code],
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
            **self.fields,
        }


def business_error(sub_code: str, detail: str = "", **fields: str) -> GatewayError:
    """A business error (40004), always signed."""
    return GatewayError("40004", sub_code, detail=detail, fields=fields)
