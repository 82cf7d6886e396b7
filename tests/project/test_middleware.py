"""The request's id, the policy, and anticipated errors outside the API."""

import re

import pytest
from django.test import Client

from tests.clients import refused


def test_request_id_is_minted(client: Client) -> None:
    first, second = client.get("/healthz")["X-Request-ID"], client.get("/healthz")["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{24}", first)
    assert first != second


def test_proxys_request_id_is_kept(client: Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "proxy-12345678"})["X-Request-ID"] == "proxy-12345678"


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", "new\tline", "<script>1"])
def test_request_id_that_is_none_is_replaced(client: Client, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"] != given


def test_content_security_policy(client: Client) -> None:
    assert "'unsafe-inline'" not in client.get("/healthz")["Content-Security-Policy"]
    assert "'unsafe-inline'" in client.get("/api/docs/")["Content-Security-Policy"]


def test_unknown_address_below_the_api_has_the_envelope(client: Client) -> None:
    assert refused(client.get("/api/v1/nowhere/")) == (404, 1001, "not_found")
