"""The request's id: minted here or by a trusted proxy only, and on the response and every log line."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, RequestFactory
from pytest_django import Settings

from project.web.admission import Admission
from project.web.places import Shares
from tests.written import Written, written_lines

PROXY, STRANGER = "10.0.0.2", "198.51.100.7"
MINTED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def written() -> Iterator[Written]:
    with written_lines() as lines:
        yield lines


def answered_with(client: Client, given: str, *, sender: str = PROXY) -> str:
    return str(client.get("/healthz", headers={"X-Request-ID": given}, REMOTE_ADDR=sender)["X-Request-ID"])


def test_id_is_minted(client: Client) -> None:
    first, second = client.get("/healthz")["X-Request-ID"], client.get("/healthz")["X-Request-ID"]
    assert MINTED.fullmatch(first)
    assert MINTED.fullmatch(second)
    assert first != second


@pytest.mark.parametrize("given", ["proxy-12345678", "a" * 64, "0f" * 16, "01J9ZP6T1V0000000000000000"])
def test_trusted_proxys_id_is_kept(client: Client, settings: Settings, given: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert answered_with(client, given) == given


@pytest.mark.parametrize("sender", [STRANGER, "", "not-an-address"])
def test_strangers_id_is_replaced(client: Client, settings: Settings, sender: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert MINTED.fullmatch(answered_with(client, "proxy-12345678", sender=sender))


def test_no_id_is_kept_while_no_proxy_is_trusted(client: Client) -> None:
    assert MINTED.fullmatch(answered_with(client, "proxy-12345678", sender="127.0.0.1"))


@pytest.mark.parametrize(
    "given",
    [
        "short",
        "x" * 65,
        "with space",
        "new\tline",
        "<script>1",
        "id: 12345678",
        "中文中文中文中文",
        "12345678\n",
        "",
    ],
)
def test_invalid_id_of_a_trusted_proxy_is_replaced(client: Client, settings: Settings, given: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    environ = {"HTTP_X_REQUEST_ID": given, "REMOTE_ADDR": PROXY}
    assert MINTED.fullmatch(client.get("/healthz", **environ)["X-Request-ID"])  # type: ignore[arg-type]  # as it comes from the server


def serve(path: str, **environ: Any) -> tuple[str, dict[str, str]]:
    """The status and headers of a request through the web process's whole stack."""
    application = Admission(WSGIHandler(), places=1, shares=Shares(**django_settings.ADDRESS_SHARES))
    answers: list[tuple[str, dict[str, str]]] = []
    request = RequestFactory().generic(environ.pop("method", "GET"), path, **environ)
    b"".join(
        application(request.environ, lambda status, headers: answers.append((status[:3], dict(headers))))
    )
    for place in application.places.all:
        place.connection.close()
    return answers[0]


@pytest.mark.parametrize(
    ("path", "environ", "status"),
    [
        ("/nowhere", {}, "404"),
        ("/api/v1/nowhere/", {}, "404"),
        ("/api/v1/orders/", {}, "401"),
        ("/?%00", {}, "400"),
        ("/healthz", {"HTTP_HOST": "evil.example"}, "400"),
        ("/api/v1/auth/login/", {}, "405"),
        (
            "/api/v1/payments/alipay/notify/",
            {"method": "POST", "data": b"{}", "content_type": "application/json"},
            "415",
        ),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_lines_of_refusals_have_the_id_and_the_address(
    written: Written, path: str, environ: dict[str, Any], status: str
) -> None:
    answer = serve(path, REMOTE_ADDR=STRANGER, **environ)
    assert answer[0] == status
    told = written.lines()
    assert told
    assert {(line.get("request_id"), line.get("address")) for line in told} == {
        (answer[1]["X-Request-ID"], STRANGER)
    }


@pytest.mark.django_db
def test_lines_of_refusals_have_the_id_under_any_server(client: Client, written: Written) -> None:
    answer = client.get("/api/v1/orders/")
    assert answer.status_code == 401
    assert [line["request_id"] for line in written.lines() if line["logger"] == "django.request"] == [
        answer["X-Request-ID"]
    ]


@pytest.mark.django_db(transaction=True)
def test_admissions_own_refusals_have_the_id() -> None:
    status, headers = serve("/", HTTP_TRANSFER_ENCODING="chunked")
    assert status == "411"
    assert MINTED.fullmatch(headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"host": "evil.example"}),
        ("/", {}),
        ("/static/shop/shop.css", {}),
        ("/nowhere", {}),
        ("/%00", {}),
    ],
)
def test_every_answer_has_the_id(
    client: Client, settings: Settings, path: str, headers: dict[str, str]
) -> None:
    """Including those of other middleware, such as the redirect to https."""
    settings.SECURE_SSL_REDIRECT = True
    assert MINTED.fullmatch(client.get(path, headers=headers)["X-Request-ID"])


@pytest.mark.django_db(transaction=True)
def test_id_ends_with_the_request(written: Written) -> None:
    serve("/healthz")
    logging.getLogger("after").warning("done")
    [line] = [line for line in written.lines() if line["logger"] == "after"]
    assert "request_id" not in line
    assert "address" not in line


@pytest.mark.parametrize(
    "path",
    ["/pay/20251127000000000ABCDEFGHIJKLM:c2lnbmF0dXJl/", "/password/reset/MQ/c0ffee-0123456789abcdef/"],
)
@pytest.mark.django_db
def test_line_about_a_link_does_not_have_its_key(client: Client, written: Written, path: str) -> None:
    client.put(path)
    [line] = [line for line in written.lines() if line["logger"] == "django.request"]
    assert line["event"].endswith("…")
    assert path.rstrip("/").rpartition("/")[2] not in line["event"]


@pytest.mark.django_db
def test_request_log_has_each_request_once(written: Written, settings: Settings) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:3],
        "project.request_lines.RequestLineMiddleware",
        *settings.MIDDLEWARE[3:],
    ]
    client = Client()
    answer = client.get("/api/v1/orders/?token=secret")
    client.get("/healthz")
    told = written.of("request_answered")
    assert [(line["method"], line["path"], line["status"], line["request_id"]) for line in told] == [
        ("GET", "/api/v1/orders/", 401, answer["X-Request-ID"])
    ]
