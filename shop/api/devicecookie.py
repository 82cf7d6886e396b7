"""The cookie by which a login, the API's or staff's, recognises a known device.

It is sent to the login's URL only and authenticates nobody.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from shop.domain.accounts.devices import KNOWN_DAYS, find_device, note_device

COOKIE = "device"


def device_note(request: HttpRequest | Request) -> str | None:
    """The note in the device's cookie, not verified yet."""
    return request.COOKIES.get(COOKIE)


def remember_device(response: HttpResponseBase, request: HttpRequest | Request, *, username: str) -> None:
    """Sets the cookie on a device that has just logged in, unless it has a valid one."""
    if find_device(device_note(request), username=username) is not None:
        return
    response.set_cookie(
        COOKIE,
        note_device(username),
        max_age=KNOWN_DAYS * 24 * 3600,
        path=request.path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )
