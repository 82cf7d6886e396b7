"""The language of a response: Chinese, or English for people who chose it or whose browser asks for it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

_API = "/api/"
# The API's documentation exists only in Chinese.
_DOCUMENTATION = ("/api/schema/", "/api/docs/")


class LanguageMiddleware:
    """Sets the language of pages from the cookie, or else from `Accept-Language`. The API reads no cookies
    and uses that header alone.

    An API request that asks for Chinese or for no language, as nearly all do, costs only the lookup of that
    header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(_API):
            return self._answer_program(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = self.get_response(request)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        response.headers.setdefault("Content-Language", html_language(language))
        return response

    def _answer_program(self, request: HttpRequest) -> HttpResponse:
        wanted = request.META.get("HTTP_ACCEPT_LANGUAGE", "")
        language = settings.LANGUAGE_CODE if not wanted or wanted.startswith("zh") else _preferred(wanted)
        if language == settings.LANGUAGE_CODE or request.path_info.startswith(_DOCUMENTATION):
            return self.get_response(request)
        with translation.override(language):
            return self.get_response(request)


def _preferred(header: str) -> str:
    for wanted, _ in parse_accept_lang_header(header.lower()):
        try:
            return translation.get_supported_language_variant(wanted)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE


def html_language(language: str) -> str:
    """The language's name in HTML and in HTTP headers."""
    return "zh-CN" if language == settings.LANGUAGE_CODE else language


# Another site gains nothing by changing the language, and a page without a form of ours has no CSRF token to
# send.
choose_language = csrf_exempt(require_POST(set_language))
