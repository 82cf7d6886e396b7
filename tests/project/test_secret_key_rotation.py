"""A new DJANGO_SECRET_KEY: while the old one is a fallback everything that it signed is good, and nothing
afterwards.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from django.core import mail
from django.test import Client
from pytest_django import Settings

from shop import clock
from shop.domain.accounts.devices import find_device, note_device
from shop.domain.orders.paylinks import pay_url
from shop.models import Account
from tests.clients import Api, answered
from tests.factories import make_buyer, make_course, make_order

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "old " * 20, "new " * 20
# What is signed, and how to try whether it is still good.
Signed = Callable[[Settings], Callable[[], bool]]


def staff_session(settings: Settings) -> Callable[[], bool]:
    """As it is after "end all logins", which is part of what is signed."""
    staff = Account.objects.create_superuser("nami", password="correct horse battery")
    Account.objects.update(login_generation=3)
    staff.refresh_from_db()
    browser = Client()
    browser.force_login(staff)
    return lambda: browser.get("/admin/").status_code == 200


def posted_form(settings: Settings) -> Callable[[], bool]:
    """A form that was open during the change. Its token isn't signed, so it is good in any case."""
    browser = Client(enforce_csrf_checks=True)
    page = browser.get("/admin/login/").content.decode()
    token = re.search(r'csrfmiddlewaretoken" value="([^"]+)', page)
    assert token is not None
    fields = {"csrfmiddlewaretoken": token[1], "username": "x", "password": "x"}
    return lambda: browser.post("/admin/login/", fields).status_code == 200


def payment_link(settings: Settings) -> Callable[[], bool]:
    order = make_order(make_buyer(), make_course("80.00"), now=clock.now())
    path = urlsplit(pay_url(order.order_number)).path
    return lambda: Client().get(path).status_code != 404  # no gateway is configured here


def reset_mail(settings: Settings) -> Callable[[], bool]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    buyer = make_buyer(password="correct horse battery")
    Account.objects.filter(pk=buyer.pk).update(email="buyer@shop.test")
    Client().post("/password/reset/", {"email": "buyer@shop.test"})
    link = re.search(r"(/password/reset/\S+)", str(mail.outbox[0].body))
    assert link is not None
    return lambda: "new_password1" in Client().get(link[1], follow=True).content.decode()


def known_device(settings: Settings) -> Callable[[], bool]:
    note = note_device("lufei")
    return lambda: find_device(note, username="lufei") is not None


def buyers_token(settings: Settings) -> Callable[[], bool]:
    """Random, not signed."""
    api = Api(make_buyer())
    return lambda: api.get("/api/v1/balance/").status_code == 200


SIGNED = [staff_session, payment_link, reset_mail, known_device]
UNSIGNED = [posted_form, buyers_token]


@pytest.mark.parametrize("what", [*SIGNED, *UNSIGNED])
def test_what_the_old_key_signed_is_good_while_it_is_a_fallback(what: Signed, settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    is_good = what(settings)
    assert is_good()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert is_good()


@pytest.mark.parametrize("what", [*SIGNED, *UNSIGNED])
def test_nothing_that_the_old_key_signed_is_good_without_it(what: Signed, settings: Settings) -> None:
    """After a leak. The control of the test above, too."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    is_good = what(settings)
    settings.SECRET_KEY = NEW
    assert is_good() is (what in UNSIGNED)


def test_session_that_was_used_during_the_change_outlives_the_old_key(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    is_good = staff_session(settings)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert is_good()
    settings.SECRET_KEY_FALLBACKS = []
    assert is_good()


def test_order_shows_a_link_of_the_new_key(settings: Settings, valkey: redis.Redis) -> None:
    """A client that knows the order's ETag is told of it, too."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    buyer = make_buyer()
    order = make_order(buyer, make_course("80.00"), now=clock.now())
    api, url = Api(buyer), f"/api/v1/orders/{order.order_number}/"
    before = api.get(url)
    settings.SECRET_KEY = NEW
    valkey.flushdb()  # a process that has just started believes no remembered answer
    after = api.get(url, headers={"If-None-Match": before["ETag"]})
    assert answered(after)["pay_url"] == pay_url(order.order_number) != answered(before)["pay_url"]


def test_every_signer_of_the_shop_is_tried_here() -> None:
    """Whatever is signed one day without Django's fallbacks, or isn't tried above, is noticed."""
    signs = re.compile(r"django\.core\.signing|salted_hmac|SECRET_KEY|TokenGenerator|set_signed_cookie")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("shop", "payments", "project", "worker")
        for path in (ROOT / folder).rglob("*.py")
        if signs.search(path.read_text())
    }
    assert found == {
        "project/settings.py",
        "project/local/programs.py",  # makes a key for bin/demo
        "shop/domain/accounts/devices.py",
        "shop/domain/orders/paylinks.py",
    }
