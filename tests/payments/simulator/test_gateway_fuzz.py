"""Whatever a merchant signs, the gateway answers with a code and never with a crash."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.simulator.fields import DOCUMENTED_FIELDS
from tests.payments.simulator.process import Simulator

METHODS = sorted(DOCUMENTED_FIELDS)
LIKELY: st.SearchStrategy[object] = st.sampled_from(
    ["", "C1", "1.00", "0", -1, 10**30, 1e308, True, None, "9999-12-31", "9999-12", "0001-01-01 00:00:00",
        "9999-12-31 23:59:59", "1c", "trade", "课程",
     "FAST_INSTANT_TRADE_PAY", "QUICK_WAP_WAY", "30m", "\ud800", "\x00", "}{", [], {}, ["gmt_refund_pay"], 5]
)  # fmt: skip
VALUES = st.one_of(
    LIKELY,
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=3),
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    method = draw(st.sampled_from(METHODS))
    return method, draw(
        st.dictionaries(st.sampled_from(sorted(DOCUMENTED_FIELDS[method])), VALUES, max_size=8)
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls())
def test_every_signed_request_is_answered(simulator: Simulator, call: tuple[str, dict[str, Any]]) -> None:
    ask(simulator, call[0], json.dumps(call[1]))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 10_000, '{"out_trade_no": ' + "1" * 5000 + "}", '"', "null", "\x00"]
)
def test_absurd_json_is_illegal(simulator: Simulator, text: str) -> None:
    assert "isv.illegal-json" in ask(simulator, "alipay.trade.query", text)


def ask(simulator: Simulator, method: str, biz_content: str) -> str:
    sdk = simulator.sdk()
    params = {**sdk.build_body(method, {}), "biz_content": biz_content}
    text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
    response = simulator.http.post(
        "/gateway.do", content=urlencode({**params, "sign": sdk._sign(text)}), headers=FORM
    )
    assert response.status_code in {200, 302}, (method, biz_content[:200])
    return response.content.decode("gbk" if "GBK" in response.headers["content-type"] else "utf-8")


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
