"""Mail in a shop without a mail server isn't logged."""

import pytest
from django.core.mail import send_mail
from pytest_django import Settings

from tests.written import written_lines


@pytest.fixture(autouse=True)
def backend(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "project.mail.NoMail"


def test_unsent_mail_is_logged_without_its_text() -> None:
    with written_lines() as written:
        assert (
            send_mail("subject", "https://shop.test/password/reset/MQ/c0ffee/", None, ["luffy@mail.example"])
            == 0
        )
    [line] = written.lines()
    assert (line["event"], line["count"], line["level"]) == ("mail_not_sent", 1, "error")
    assert "c0ffee" not in written.text()
    assert "luffy" not in written.text()
