"""Template filters and tags of the storefront."""

import re
from decimal import Decimal
from functools import cache
from pathlib import Path

from django import template
from django.templatetags.static import static
from django.utils import translation
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

register = template.Library()
_SCRIPTS = Path(__file__).resolve().parent.parent / "static/shop/js"
_IMPORT = re.compile(r'^import (?:.*? from )?"(\.{1,2}/[^"]+)";', re.MULTILINE)


@register.simple_tag
def module_preloads(page: str) -> SafeString:
    """`modulepreload` links for all scripts that a page's script imports, so that the browser doesn't
    discover them one after another.
    """
    return format_html_join(
        "\n  ",
        '<link rel="modulepreload" href="{}">',
        ((static(f"shop/js/{name}"),) for name in _imported(f"pages/{page}.js")),
    )


@cache
def _imported(script: str) -> tuple[str, ...]:
    found: list[str] = []
    waiting = [_SCRIPTS / script]
    while waiting:
        current = waiting.pop(0)
        for name in _IMPORT.findall(current.read_text(encoding="utf-8")):
            path = (current.parent / name).resolve()
            relative = path.relative_to(_SCRIPTS).as_posix()
            if relative not in found:
                found.append(relative)
                waiting.append(path)
    return tuple(found)


@register.simple_tag
def page_language() -> str:
    """The page's language as a BCP 47 tag."""
    return "en" if translation.get_language() == "en" else "zh-CN"


@register.filter
def yuan(amount: Decimal) -> str:
    """`1234.50` → `¥1,234.50`, in the same format as the scripts."""
    return f"¥{amount:,.2f}"
