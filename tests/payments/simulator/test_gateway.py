"""The envelope: the order of checks, signed and unsigned errors, encodings."""

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.payments.simulator.process import APP_ID, Simulator
from tests.payments.simulator.shop import GatewayAliPay

QUERY = "alipay.trade.query"


def sign(simulator: Simulator, params: dict[str, str], charset: str = "utf-8") -> dict[str, str]:
    key = load_pem_private_key((simulator.state / "keys" / APP_ID / "app_private_key.pem").read_bytes(), None)
    text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if value)
    signature = key.sign(text.encode(charset), PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg,arg-type]
    return {**params, "sign": base64.b64encode(signature).decode()}


def envelope(**changes: str) -> dict[str, str]:
    params = {
        "app_id": APP_ID, "method": QUERY, "charset": "utf-8", "sign_type": "RSA2",
        "timestamp": "2026-01-01 12:00:00",
        "version": "1.0", "biz_content": '{"out_trade_no":"C1"}',
    }  # fmt: skip
    return {**params, **changes}


def ask(simulator: Simulator, params: dict[str, str]) -> tuple[dict[str, Any], bool, str]:
    """The inner answer, whether it is signed, and the key it stands under."""
    response = simulator.http.get("/gateway.do", params=params)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html;charset=utf-8"
    body = response.json()
    key = next(name for name in body if name != "sign")
    return body[key], "sign" in body, key


# Each request fails all checks from some point on, so the first of them must answer.
ALL_WRONG = {
    "sign_type": "MD5",
    "timestamp": "yesterday",
    "version": "9",
    "charset": "klingon",
    "method": "alipay.nothing",
    "biz_content": "{",
    "sign": "x",
}


@pytest.mark.parametrize(
    ("wrong", "sub_code", "is_signed"),
    [
        ({"app_id": ""}, "isv.missing-app-id", False),
        ({"app_id": "999", "method": "", "sign": ""}, "isv.invalid-app-id", False),
        ({"method": "", "sign_type": "", "sign": "", "timestamp": ""}, "isv.missing-method", True),
        ({"sign_type": ""}, "isv.missing-signature-type", True),
        ({"sign": ""}, "isv.missing-signature", True),
        ({"timestamp": ""}, "isv.missing-timestamp", True),
        ({"version": ""}, "isv.missing-version", True),
        ({}, "isv.invalid-signature-type", True),
        ({"sign_type": "RSA2"}, "isv.invalid-charset", True),
        ({"sign_type": "RSA2", "charset": "utf-8"}, "isv.invalid-version", True),
        ({"sign_type": "RSA2", "charset": "utf-8", "version": "1.0"}, "isv.invalid-timestamp", True),
        (
            {"sign_type": "RSA2", "charset": "utf-8", "version": "1.0", "timestamp": "2026-01-01 12:00:00"},
            "isv.invalid-signature",
            True,
        ),
    ],
)
def test_first_failing_check_answers(
    simulator: Simulator, wrong: dict[str, str], sub_code: str, is_signed: bool
) -> None:
    inner, signed, _ = ask(simulator, envelope(**{**ALL_WRONG, **wrong}))
    assert (inner["sub_code"], signed) == (sub_code, is_signed)
    assert inner["code"] == ("40001" if ".missing-" in sub_code else "40002")


def test_signature_is_checked_before_method_and_method_before_json(simulator: Simulator) -> None:
    wrong = envelope(method="alipay.nothing.at.all", biz_content="{")
    assert ask(simulator, {**wrong, "sign": "eA=="})[0]["sub_code"] == "isv.invalid-signature"
    inner, is_signed, key = ask(simulator, sign(simulator, wrong))
    assert (inner["sub_code"], is_signed, key) == (
        "isv.invalid-method",
        True,
        "alipay_nothing_at_all_response",
    )
    assert ask(simulator, sign(simulator, envelope(biz_content="{")))[0]["sub_code"] == "isv.illegal-json"
    assert ask(simulator, sign(simulator, envelope(biz_content="[]")))[0]["sub_code"] == "isv.illegal-json"
    assert ask(simulator, sign(simulator, envelope()))[0]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_empty_values_take_no_part_in_the_signature(simulator: Simulator) -> None:
    assert ask(simulator, sign(simulator, envelope(notify_url="")))[0]["code"] == "40004"


def test_query_and_form_are_merged(simulator: Simulator) -> None:
    params = sign(simulator, envelope())
    form = {"biz_content": params.pop("biz_content")}
    response = simulator.http.post("/gateway.do", params=params, data=form)
    assert response.json()["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_gbk_requests_are_understood_and_answered_in_gbk(simulator: Simulator) -> None:
    params = sign(
        simulator,
        envelope(
            charset="GBK", biz_content=json.dumps({"out_trade_no": "C1", "x": "课程"}, ensure_ascii=False)
        ),
        "gbk",
    )
    response = simulator.http.get(f"/gateway.do?{httpx_query(params, 'gbk')}")
    assert "交易不存在" in response.content.decode("gbk")


def httpx_query(params: dict[str, str], charset: str) -> str:
    from urllib.parse import urlencode

    return urlencode(params, encoding=charset)


def test_timestamp_tolerance_is_a_setting(simulator: Simulator) -> None:
    assert ask(simulator, sign(simulator, envelope()))[0]["code"] == "40004"
    simulator.control("PATCH", "/settings", {"timestamp_tolerance_s": 600})
    assert ask(simulator, sign(simulator, envelope()))[0]["sub_code"] == "isv.invalid-timestamp"


def test_slashes_are_escaped_unless_switched_off(simulator: Simulator, sdk: GatewayAliPay) -> None:
    order = {"subject": "x", "out_trade_no": "C1", "total_amount": "1.00"}
    # The SDK verifies the raw text, so both forms must pass.
    assert sdk.api_alipay_trade_precreate(**order)["qr_code"].startswith(f"{simulator.url}/qr/")
    assert "http:\\/\\/" in simulator.control("GET", "/requests")["requests"][0]["answer"]
    simulator.control("PATCH", "/settings", {"escape_slashes": False})
    assert sdk.api_alipay_trade_precreate(**order)["qr_code"].startswith(f"{simulator.url}/qr/")
    assert "http://" in simulator.control("GET", "/requests")["requests"][0]["answer"]


def test_chinese_is_raw_utf8_and_json_compact(simulator: Simulator) -> None:
    raw = simulator.http.get("/gateway.do", params=sign(simulator, envelope())).content.decode()
    assert raw.startswith(
        '{"alipay_trade_query_response":{"code":"40004","msg":"Business '
        'Failed","sub_code":"ACQ.TRADE_NOT_EXIST","sub_msg":"交易不存在",'
    )


@pytest.mark.parametrize("method", ["alipay.trade.page.pay", "alipay.trade.wap.pay"])
def test_page_errors_are_gbk_html(simulator: Simulator, method: str) -> None:
    response = simulator.http.get("/gateway.do", params=envelope(app_id="999", method=method))
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html;charset=GBK")
    text = response.content.decode("gbk")
    assert "调试错误，请回到请求来源地，重新发起请求。" in text
    assert "错误代码 invalid-app-id" in text
    assert "错误原因: 无效的AppID参数" in text


def test_app_order_string_is_taken_by_post(simulator: Simulator, sdk: GatewayAliPay) -> None:
    order_string = sdk.api_alipay_trade_app_pay(subject="x", out_trade_no="C1", total_amount="1.00")
    response = simulator.http.post("/gateway.do", data=dict(parse_qsl(order_string)))
    assert (response.status_code, response.headers["location"][:9]) == (302, "/cashier/")


def test_undocumented_fields_are_shown_in_the_log(simulator: Simulator, sdk: GatewayAliPay) -> None:
    sdk.server_api("alipay.trade.close", {"out_trade_no": "C1", "surprise": "1"})
    logged = simulator.control("GET", "/requests")["requests"][0]
    assert (logged["unknown_fields"], logged["sub_code"], logged["out_trade_no"]) == (
        ["surprise"],
        "ACQ.TRADE_NOT_EXIST",
        "C1",
    )


def test_another_merchants_trade_does_not_exist(own_simulator: Simulator) -> None:
    own_simulator.stop()
    own_simulator.arguments = ("--app-id", "2021000000000002", "--seller-id", "2088000000000002")
    own_simulator.start()
    own_simulator.pay_order("C1")
    assert own_simulator.sdk().api_alipay_trade_query(out_trade_no="C1")["trade_status"] == "TRADE_SUCCESS"
    other = own_simulator.sdk("2021000000000002").api_alipay_trade_query(out_trade_no="C1")
    assert other["sub_code"] == "ACQ.TRADE_NOT_EXIST"
