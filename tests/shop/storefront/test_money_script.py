"""The arithmetic of the pages' script, run by Node.js if it is installed: it must be exact to the fen."""

import base64
import json
import shutil
import subprocess
from decimal import Decimal

import pytest

from shop.money import MAX_YUAN
from tests.shop.storefront.static_files import find_static

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")
AMOUNTS = [
    "0.00",
    "0.01",
    "0.10",
    "0.20",
    "0.30",
    "1.15",
    "19.90",
    "99.99",
    "1234.50",
    "1000000.05",
    str(MAX_YUAN),
]


def run(expression: str, value: object) -> object:
    """The value of an expression over `money` (the module) and `value`."""
    module = base64.b64encode(find_static("shop/js/money.js").read_bytes()).decode()
    code = f"""
        import * as money from "data:text/javascript;base64,{module}";
        const value = {json.dumps(value)};
        console.log(JSON.stringify({expression}));
    """
    ended = subprocess.run(
        [str(NODE), "--input-type=module", "--eval", code], capture_output=True, text=True, check=True
    )
    return json.loads(ended.stdout)


def test_amounts_come_back_as_they_went_in() -> None:
    assert run("value.map((yuan) => money.yuanOf(money.fenOf(yuan)))", AMOUNTS) == AMOUNTS


def test_sum_equals_the_sum_of_decimals() -> None:
    assert run("money.sumOf(value)", AMOUNTS) == str(sum(map(Decimal, AMOUNTS)))
    assert run("money.sumOf(value)", []) == "0.00"


def test_shown_with_thousands() -> None:
    assert run("value.map(money.shown)", ["0.01", "999.00", "1234.50", "1000000.05"]) == [
        "¥0.01",
        "¥999.00",
        "¥1,234.50",
        "¥1,000,000.05",
    ]


def test_anything_but_two_places_is_refused() -> None:
    refused = "value.map((yuan) => { try { return money.fenOf(yuan); } catch { return null; } })"
    assert run(refused, ["1", "1.5", "-1.00", "1e3", "", "1.005", "NaN"]) == [None] * 7
