"""/.well-known/security.txt."""

from datetime import datetime, timedelta

from django.test import Client
from django.utils import timezone
from pytest_django import Settings

PATH = "/.well-known/security.txt"


def test_it_names_the_contact_and_ends_some_day(client: Client, settings: Settings) -> None:
    settings.SECURITY_CONTACT = "mailto:security@example.com"
    answer = client.get(PATH)
    fields = dict(line.split(": ", 1) for line in answer.content.decode().splitlines())
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert (fields["Contact"], fields["Canonical"]) == (
        "mailto:security@example.com",
        f"{settings.PUBLIC_URL}{PATH}",
    )
    assert (
        timedelta(days=89) < datetime.fromisoformat(fields["Expires"]) - timezone.now() < timedelta(days=91)
    )


def test_without_a_contact_there_is_none(client: Client) -> None:
    assert client.get(PATH).status_code == 404
