"""Liveness and readiness."""

import pytest
from django.test import Client


def test_alive_without_any_dependency(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "valkey": "ok"})


@pytest.mark.django_db
@pytest.mark.usefixtures("valkey_away")
def test_ready_without_valkey_since_orders_can_be_taken(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "valkey": "unreachable"})
