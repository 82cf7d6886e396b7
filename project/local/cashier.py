"""Pays at the simulator's cashier, in a browser's stead."""

import re
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import httpx

from project.local.api_client import PurchaseError


def pay_at_cashier(
    pay_url: str, *, tell: Callable[[str], object] = str, account: str = "buyer@example.com"
) -> None:
    """Opens the order's payment link in a browser's stead, logs in at Alipay's cashier and pays.

    Raises: PurchaseError when the cashier shows no form to go on with.
    """
    with httpx.Client(timeout=30, follow_redirects=True, trust_env=False) as browser:
        page = browser.get(pay_url)
        tell(
            f"opened the payment link, now at {urlsplit(str(page.url)).netloc}{urlsplit(str(page.url)).path}"
        )
        page = _submit_form(browser, page, ending="/login", account=account)
        tell(f"logged in at Alipay's cashier as {account}")
        page = _submit_form(browser, page, ending="/pay")
        # Whether the way back works is the browser's fortune; whether the course is delivered must not depend
        # on it.
        tell(f"paid at the cashier, sent back to {urlsplit(str(page.url)).path} ({page.status_code})")


def _submit_form(
    browser: httpx.Client, page: httpx.Response, *, ending: str, **values: str
) -> httpx.Response:
    """Sends the page's form whose address ends so, with its hidden fields and these values filled in."""
    for form in re.finditer(r"<form\b([^>]*)>(.*?)</form>", page.text, re.DOTALL | re.IGNORECASE):
        action = _attribute(form[1], "action") or str(page.url)
        if not urlsplit(action).path.rstrip("/").endswith(ending):
            continue
        inputs = re.findall(r"<(?:input|button)\b([^>]*)>", form[2], re.IGNORECASE)
        fields = {name: _attribute(tag, "value") or "" for tag in inputs if (name := _attribute(tag, "name"))}
        answer = browser.post(urljoin(str(page.url), action), data={**fields, **values})
        if answer.is_error and not answer.history:
            raise PurchaseError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:300]!r}")
        return answer
    raise PurchaseError(f"{page.url} ({page.status_code}) shows no form for {ending}: {page.text[:300]!r}")


def _attribute(tag: str, name: str) -> str | None:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag, re.IGNORECASE)
    return None if found is None else (found[1] or found[2] or "")
