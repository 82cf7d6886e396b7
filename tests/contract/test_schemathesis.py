"""Schemathesis against the running shop: what the schema allows is answered as the schema says, what it
forbids is refused.
"""

import os
import subprocess
from pathlib import Path

import pytest

from project.local.api_client import suggested_order
from project.local.programs import program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.invariants import InvariantBrokenError, check_invariants
from tests.journeys.shopping import new_buyer, pay, simple_body
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("contract"), pytest.mark.timeout(240)]

SEED = "20261122"
EXAMPLES = "5"
# It takes half a minute on an idle machine.
TIME_LIMIT_S = 200
CONFIG = Path(__file__).parent / "schemathesis.toml"


def test_running_shop_keeps_to_its_schema(shared_shop_stack: ShopStack, tmp_path: Path) -> None:
    shop = shared_shop_stack
    buyer = new_buyer(shop, beili=500)
    buyer.claim("开学季全场券")
    rejected = buyer.place({**simple_body(shop), "alipay": "0.01"})
    awaiting = buyer.buy()
    checkout = buyer.check_out(buyer.fill_cart("Python 开发入门", "前端三件套"))
    paid = buyer.place(suggested_order(checkout, beili=5))
    buyer.follow(paid)
    pay(shop, buyer.open_cashier(paid))
    assert buyer.follow(paid, while_status="awaiting_payment")["status"] == "paid"
    buyer.check_out(buyer.fill_cart("支付系统设计"))

    token = buyer.api.http.headers["Authorization"]
    other = shop.value("SELECT username FROM shop_account WHERE id = %s", new_buyer(shop, beili=0).account_id)
    run = subprocess.run(
        [
            *program("schemathesis", "--config-file", str(CONFIG), "run", f"{shop.web_url}/api/schema/"),
            *("--checks", "all", "--seed", SEED, "--max-examples", EXAMPLES, "--no-color"),
        ],
        cwd=tmp_path,  # it leaves a cache in its working directory
        env={
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks",
            "CONTRACT_SHOP_URL": shop.web_url,
            "CONTRACT_OTHER_USERNAME": other,
            "CONTRACT_PASSWORD": shop.env["DEMO_PASSWORD"],
            "CONTRACT_AUTHORIZATION": token,
            "CONTRACT_ORDER_NUMBERS": f"{rejected},{awaiting},{paid}",
        },
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    print(run.stdout[-20_000:], run.stderr[-2000:])
    assert run.returncode == 0
    assert "Authentication failed" not in run.stdout, "most requests met a closed door"
    assert "Internal Server Error" not in shop.web.logs()
    if not wait_until(lambda: is_sound(shop), timeout_s=30, poll_s=0.5):
        check_invariants(shop.rows)


def is_sound(shop: ShopStack) -> bool:
    try:
        check_invariants(shop.rows)
    except InvariantBrokenError:
        return False
    return True
