"""Rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(
    path for app in ("shop", "payments") for path in (ROOT / app).rglob("*.py") if not {"simulator", "migrations"} & set(path.parts)
)
# Seconds are floats, and nothing else is.
SECONDS = {"shop/domain/waiting.py", "shop/valkey.py", "shop/wakeup.py"}
# Said by Celery's and Flower's own settings, or by commands, not by project/settings.py.
READ_ELSEWHERE = {"FLOWER_BASIC_AUTH", "DEMO_PASSWORD"}


def floats(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
        is_column = isinstance(node, ast.Attribute) and node.attr == "FloatField"
        if is_literal or is_call or is_column:
            yield node.lineno


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_float_comes_near_money(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in SECONDS:
        assert list(floats(path)) == []


def test_the_float_check_finds_floats(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text("price = 19.9\ntotal = float(price)\nx = models.FloatField()\n")
    assert sorted(floats(offender)) == [1, 2, 3]


def test_every_environment_variable_is_in_the_example() -> None:
    settings = (ROOT / "project/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', settings))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shop_part = example.split("# --- docker-compose")[0]
    assert read | READ_ELSEWHERE == set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", shop_part, re.MULTILINE))


def test_both_readmes_have_the_same_headings_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    for pattern in (r"^(#+) ", r"`(bin/[^`]+|manage\.py [^`]+)`", r"\]\((docs/[^)]+|CHANGELOG\.md)\)"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)
