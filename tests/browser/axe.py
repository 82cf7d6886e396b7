"""The violations that axe finds on a page."""

import json
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}
# Only violations are described. Describing what passes, with each element's selector and text, would be most
# of the work.
REPORT = {"resultTypes": ["violations"]}
# A colour scheme only changes colours.
COLOURS: dict[str, Any] = {"runOnly": ["color-contrast"]}
# A language changes everything but colours.
BUT_COLOURS: dict[str, Any] = {"rules": {"color-contrast": {"enabled": False}}}


def findings(page: Page, *, scheme: str = "light", **options: Any) -> list[str]:
    """Serious violations, each with the page and its elements."""
    if not page.evaluate("'axe' in window"):
        # Half a megabyte, sent once: the browser keeps it for the pages to come.
        page.add_init_script(AXE_SCRIPT)
        page.evaluate(AXE_SCRIPT)
    violations = page.evaluate(f"axe.run({json.dumps(REPORT | options)}).then(found => found.violations)")
    return [
        f"{page.url} {scheme}: {one['id']} {[node['target'] for node in one['nodes']]}"
        for one in violations
        if one["impact"] in SERIOUS
    ]
