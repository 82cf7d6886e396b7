"""Every text for buyers and staff has an English translation, and the compiled files match the catalogues."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from django.utils import translation

from payments.states import Product
from project import translations
from shop import errors
from shop.models import OrderEvent, PricePolicy
from shop.states import CourseType

CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMES = re.compile(r"%\(\w+\)s|\{\w+\}")
STRING = r'"((?:[^"\\]|\\.)*)"'
SCRIPTS = sorted(path for path in translations.SCRIPTS.rglob("*.js") if path != translations.SCRIPT)
DOMAINS = {"django": translations.words_of_pages, "djangojs": translations.words_of_scripts}


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def entries(catalogue: Catalog) -> Iterator[tuple[translations.Message, tuple[str, ...]]]:
    for entry in catalogue:
        if entry.id:
            yield translations.message_of(entry), tuple(translations.forms_of(entry.string))


def test_catalogue_has_exactly_the_messages_of_the_source(domain: str) -> None:
    known = {message for message, _ in entries(translations.read(domain))}
    assert known == DOMAINS[domain]()


def test_nothing_is_untranslated(domain: str) -> None:
    catalogue = translations.read(domain)
    assert len(catalogue) > 100
    assert translations.untranslated(catalogue) == []
    assert [forms for _, forms in entries(catalogue) if any(CHINESE.search(form) for form in forms)] == []


def test_what_is_filled_in_is_filled_in_everywhere(domain: str) -> None:
    """The singular may omit a placeholder, and `{off}` in English corresponds to `{tenths}` in Chinese."""
    wrong = []
    for message, forms in entries(translations.read(domain)):
        wanted = set(NAMES.findall(message if isinstance(message, str) else message[0]))
        wrong += [
            (message, form)
            for form in forms
            if set(NAMES.findall(form)) - {"{off}", "%(off)s"} != wanted - {"{tenths}", "%(tenths)s"}
        ]
    assert wrong == []


def test_compiled_files_are_those_of_the_catalogues() -> None:
    for path, compiled in translations.compile_all().items():
        assert path.read_bytes() == compiled, f"bin/translate writes {path.name}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_all_chinese_of_scripts_is_in_the_catalogue(script: Path) -> None:
    """Every string with Chinese is an argument of `t` or `tn`."""
    known = {
        message if isinstance(message, str) else message[0] for message in translations.words_of_scripts()
    }
    code = "\n".join(
        line
        for line in script.read_text(encoding="utf-8").splitlines()
        if not re.match(r"\s*(//|/?\*)", line)
    )
    said = [text for text in re.findall(STRING, code) if CHINESE.search(text)]
    outside = CHINESE.findall(re.sub(rf"{STRING}|/\*.*?\*/|//.*", "", code))
    assert ([text for text in said if text not in known], outside) == ([], [])


@pytest.mark.parametrize("template", translations.templates(), ids=lambda path: path.name)
def test_all_chinese_of_templates_is_in_the_catalogue(template: Path) -> None:
    bare = re.sub(
        r"\{% blocktranslate.*?endblocktranslate %\}|\{%.*?%\}",
        "",
        template.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert CHINESE.findall(bare.replace('lang="zh-CN">中文', "")) == []


# Log entries and headings of exports are always Chinese.
STORED = {"log_text", "with_why", "Export", "log_language", "writerows"}
STAFF = sorted(
    path
    for app in ("project", "payments", "shop")
    for path in (translations.ROOT / app).rglob("*.py")
    if path.name != "history.py"
    and ("desk" in path.parent.name or "desk" in path.stem or path.stem.endswith("admin"))
)


def said_in(node: ast.AST) -> Iterator[str]:
    """The Chinese strings below a node, except docstrings and stored texts."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) | ast.keyword(arg=name) if (
            name in STORED
        ):
            return
        case ast.FunctionDef(name="log_text"):
            return
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="log_language")))]):
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Constant(value=str() as text) if CHINESE.search(text):
            yield text
    for child in ast.iter_child_nodes(node):
        yield from said_in(child)


@cache
def texts_of_pages() -> set[str]:
    return {
        message.rpartition("\x04")[2] for message in translations.words_of_pages() if isinstance(message, str)
    }


@pytest.mark.parametrize("source", STAFF, ids=lambda path: "/".join(path.parts[-3:]))
def test_all_chinese_of_the_desk_is_in_the_catalogue(source: Path) -> None:
    assert [
        text
        for text in said_in(ast.parse(source.read_text(encoding="utf-8")))
        if text not in texts_of_pages()
    ] == []


def test_texts_from_the_database_are_translated_too() -> None:
    with translation.override("en"):
        for choices in (PricePolicy.Period, CourseType, Product):
            assert [
                label for label in choices.labels if CHINESE.search(translation.gettext(str(label)))
            ] == []
        refusals = [error.message for error in errors.registry().values()]
        assert [text for text in refusals if CHINESE.search(translation.gettext(text))] == []
    assert {str(label) for label in OrderEvent.Kind.labels} <= translations.words_of_scripts()


def test_new_message_is_missing_until_it_is_translated() -> None:
    """The control: a message that is missing from the catalogue is noticed."""
    known = translations.read("django")
    fresh = translations.updated(known, {*translations.words_of_pages(), "一句新话"})
    assert translations.untranslated(fresh) == ["一句新话"]
