"""Requests are counted by route, method and status, whoever refuses them and whatever is asked for."""

import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

import pytest
from pytest_django import Settings

from project.web.admission import Admission
from project.web.counted import (
    BEGAN_AT,
    LONG_POLL,
    POLL,
    REFUSED,
    REQUESTS,
    ROUTE,
    STATIC,
    UNKNOWN,
    Counted,
    CountedHandler,
)
from project.web.places import Shares
from shop import errors

Environ = dict[str, Any]
SHARES = Shares(seconds=1, burst_s=10, waiting=100, waiting_in_all=1000, patience_s=10)


def environ(path: str = "/healthz", method: str = "GET", **more: Any) -> Environ:
    return {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": BytesIO(),
        "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", **more,
    }  # fmt: skip


def close(admission: Admission) -> None:
    for place in admission.places.all:
        place.connection.close()


@pytest.fixture
def handler() -> Iterator[Counted]:
    """Django's own, with what stands around it."""
    admission = Admission(CountedHandler(), places=2, shares=SHARES)
    yield Counted(admission)
    close(admission)


def series() -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in next(iter(REQUESTS.collect())).samples
        if sample.name.endswith("_count")
    }


def ask(application: Counted, asked: Environ) -> str:
    statuses: list[str] = []
    list(application(asked, lambda status, headers, *rest: statuses.append(status)))
    return statuses[0]


def counted(application: Counted, asked: Environ) -> tuple[str, str, str]:
    """The one series that grew by one."""
    before = series()
    ask(application, asked)
    grown = {
        key: value - before.get(key, 0) for key, value in series().items() if value != before.get(key, 0)
    }
    assert list(grown.values()) == [1]
    return next(iter(grown))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("asked", "route", "status"),
    [
        (environ("/healthz"), "healthz", "200"),
        (environ("/api/v1/orders/20260302/"), POLL, "401"),
        (environ("/api/v1/orders/20260302/", QUERY_STRING="wait=20"), LONG_POLL, "401"),
        (environ("/api/v1/courses/", QUERY_STRING="wait=20"), "api/v1/courses/", "400"),
        (environ("/courses/99999999/"), "courses/<int:course_id>/", "404"),
        (environ("/nowhere/at/all/"), UNKNOWN, "404"),
        (environ("/admin/nowhere/"), "admin/(?P<url>.*)$", "302"),
        (environ("/static/nowhere.js"), STATIC, "404"),
        (environ("/healthz", QUERY_STRING="%00"), UNKNOWN, "400"),
        (environ("/api/v1/auth/login/", "POST", HTTP_TRANSFER_ENCODING="chunked"), REFUSED, "411"),
        (environ("/api/v1/auth/login/", "POST", CONTENT_LENGTH="10"), REFUSED, "400"),
    ],
    ids=lambda value: value["PATH_INFO"] + value["QUERY_STRING"] if isinstance(value, dict) else "",
)
def test_route_and_status(handler: Counted, asked: Environ, route: str, status: str) -> None:
    assert counted(handler, asked) == (asked["REQUEST_METHOD"], route, status)


def test_words_that_are_no_method_are_one(handler: Counted) -> None:
    before = len(handler._series)
    assert {counted(handler, environ(method=method))[0] for method in ("BREW", "X" * 100, "get")} == {"other"}
    assert len(handler._series) == before


def test_a_request_without_a_place_counts() -> None:
    def refuse(asked: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked[BEGAN_AT] = time.monotonic()
        start_response(f"{errors.ServiceUnavailable.status} Service Unavailable", [])
        return []

    assert counted(Counted(refuse), environ()) == ("GET", REFUSED, "503")


def test_seconds_are_those_since_the_body_was_there() -> None:
    def slow(asked: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked |= {BEGAN_AT: time.monotonic() - 3, ROUTE: "slow"}
        start_response("200 OK", [])
        return []

    ask(Counted(slow), environ())
    buckets = {
        sample.labels["le"]: sample.value
        for sample in next(iter(REQUESTS.collect())).samples
        if sample.labels.get("route") == "slow" and "le" in sample.labels
    }
    assert (buckets["2.5"], buckets["5.0"]) == (0, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "web:8000", "evil.example"])
def test_prometheus_asks_by_whatever_name(handler: Counted, host: str) -> None:
    """It finds containers by their addresses. Nothing else is answered under a name that isn't the shop's."""
    assert ask(handler, environ("/metrics", HTTP_HOST=host)) == "200 OK"
    assert ask(handler, environ("/metrics/", HTTP_HOST=host))[:3] in {"400", "404"}
    assert ask(handler, environ("/api/v1/courses/", HTTP_HOST=host))[:3] == "400"


@pytest.mark.django_db(transaction=True)
def test_prometheus_asks_over_http(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    admission = Admission(CountedHandler(), places=2, shares=SHARES)
    assert ask(Counted(admission), environ("/metrics")) == "200 OK"
    assert ask(Counted(admission), environ("/api/v1/courses/"))[:3] == "301"
    close(admission)
