"""The cookie that tells a known device at the login, the API's and staff's.

It goes to that address only and logs nobody in.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from shop.domain.accounts.devices import KNOWN_DAYS, find_device, note_device

COOKIE = "device"


def device_note(request: HttpRequest | Request) -> str | None:
    """The note that the device brings, which nobody has looked at."""
    return request.COOKIES.get(COOKIE)


def remember_device(response: HttpResponseBase, request: HttpRequest | Request, *, username: str) -> None:
    """Gives a note to a device that has just logged in, unless it brought a good one."""
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
