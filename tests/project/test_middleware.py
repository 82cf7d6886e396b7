"""The content security policy, and anticipated errors outside the API."""

import re

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.views.decorators.csrf import csrf_exempt
from pytest_django import Settings

from project.middleware import CsrfMiddleware
from tests.clients import refused


@pytest.mark.parametrize(
    "path",
    ["/", "/login/", "/cart/", "/healthz", "/api/v1/courses/", "/admin/login/", "/api/docs/", "/nowhere"],
)
@pytest.mark.django_db
def test_no_page_runs_a_script_of_its_own(client: Client, path: str) -> None:
    answer = client.get(path)
    directives = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    scripts = directives.get("script-src", directives["default-src"])
    # The admin's theme uses Alpine, which compiles expressions: docs/threat-model.md.
    assert scripts == ("'self' 'unsafe-eval'" if path.startswith("/admin/") else "'self'")
    assert (directives["object-src"], directives["frame-ancestors"], directives["base-uri"]) == (
        "'none'",
        "'none'",
        "'none'",
    )
    assert ("'unsafe-inline'" in directives.get("style-src", "")) is path.startswith(
        ("/admin/", "/api/docs/")
    )
    assert not re.search(
        rb"<script(?![^>]*\ssrc=)(?![^>]*application/json)|\son[a-z]+=|javascript:", answer.content
    )


def test_docs_start_from_a_script_in_a_file(client: Client) -> None:
    script = re.search(r'<script src="(/api/docs/[^"]*)"', client.get("/api/docs/").content.decode())
    assert script is not None
    answer = client.get(script[1].replace("&amp;", "&"))
    assert answer["Content-Type"].startswith("application/javascript")
    assert b"SwaggerUIBundle" in answer.content


@pytest.mark.django_db
def test_answers_leave_no_copy(client: Client) -> None:
    login = client.post(
        "/api/v1/auth/login/", {"username": "nobody", "password": "wrong"}, content_type="application/json"
    )
    assert login["Cache-Control"] == "no-store"
    assert client.get("/api/v1/orders/")["Cache-Control"] == "no-store"
    assert "no-store" in client.get("/login/")["Cache-Control"]
    assert "no-store" in client.get("/admin/login/")["Cache-Control"]


@pytest.mark.parametrize("path", ["/admin/login/", "/cart/", "/api/v1/courses/", "/api/v1/nowhere/"])
@pytest.mark.parametrize("is_exempt", [False, True])
def test_form_of_another_site_reaches_only_views_that_are_exempt(
    rf: RequestFactory, path: str, is_exempt: bool
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("done")

    if is_exempt:
        view = csrf_exempt(view)

    def handle(request: HttpRequest) -> HttpResponse:
        """As Django's handler does."""
        return middleware.process_view(request, view, (), {}) or view(request)

    middleware = CsrfMiddleware(handle)
    assert middleware(rf.post(path)).status_code == (200 if is_exempt else 403)
    assert middleware(rf.get(path)).status_code == 200


@pytest.mark.django_db
def test_another_sites_form_logs_nobody_in_at_the_desk_and_the_api_knows_no_such_forms() -> None:
    stranger, who = Client(enforce_csrf_checks=True), {"username": "x", "password": "y"}
    assert stranger.post("/admin/login/", who).status_code == 403
    assert stranger.post("/api/v1/auth/login/", who, content_type="application/json").status_code == 401


@pytest.mark.django_db
def test_cookies_are_out_of_reach(client: Client, settings: Settings) -> None:
    settings.CSRF_COOKIE_SECURE = settings.SESSION_COOKIE_SECURE = True
    client.get("/admin/login/")
    (cookie,) = client.cookies.values()
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", True)
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == "Strict"


def test_unknown_address_below_the_api_has_the_envelope(client: Client) -> None:
    assert refused(client.get("/api/v1/nowhere/")) == (404, 1001, "not_found")
