"""The language of responses."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from tests.clients import Api, refused

pytestmark = pytest.mark.django_db
CHINESE_TITLE, ENGLISH_TITLE = "<title>登录 · 课程商店</title>", "<title>Log in · Course Shop</title>"


@pytest.mark.parametrize(
    ("header", "cookie", "is_english"),
    [
        (None, None, False),
        ("en", None, True),
        ("en-GB,en;q=0.9", None, True),
        ("zh-CN,zh;q=0.9,en;q=0.8", None, False),
        ("zh-TW", None, False),
        ("fr", None, False),
        ("fr, en;q=0.5", None, True),
        ("en;q=0.1, zh;q=0.9", None, False),
        ("en", "zh-hans", False),
        ("zh-CN", "en", True),
        ("en", "tlh", True),
        ("\x00, ;;=", None, False),
        ("en" * 5000, None, False),
    ],
)
def test_page_has_the_language_of_the_choice_or_of_the_browser(
    header: str | None, cookie: str | None, is_english: bool
) -> None:
    client = Client(headers={"Accept-Language": header} if header else {})
    if cookie:
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = cookie
    response = client.get("/login/")
    assert (ENGLISH_TITLE if is_english else CHINESE_TITLE) in response.content.decode()
    assert f'<html lang="{"en" if is_english else "zh-CN"}"' in response.content.decode()
    assert response["Content-Language"] == ("en" if is_english else "zh-CN")
    assert {"Accept-Language", "Cookie"} <= {part.strip() for part in response["Vary"].split(",")}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "请先登录。"),
        ("zh-CN", "请先登录。"),
        ("fr", "请先登录。"),
        ("en;q=0.3, zh-CN", "请先登录。"),
        ("en", "Please log in first."),
        ("EN-us", "Please log in first."),
    ],
)
def test_message_of_the_api_has_the_language_of_the_header(header: str | None, message: str) -> None:
    api = Api()
    api.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"  # which has no effect here
    response = api.get("/api/v1/orders/", headers={"Accept-Language": header} if header else {})
    assert refused(response) == (401, 1101, "not_authenticated")
    assert response.json()["msg"] == message


def test_fields_of_a_refusal_have_the_language_of_the_header() -> None:
    def complaints(language: str) -> Any:
        body = {"username": "<", "password": "a long pass phrase", "phone": "x", "colour": "red"}
        answers = [
            Api().post("/api/v1/auth/register/", sent, headers={"Accept-Language": language}).json()
            for sent in (body, {name: body[name] for name in ("username", "password", "phone")})
        ]
        return [answer["details"]["fields"] for answer in answers]

    assert complaints("en") == [
        {"colour": ["Unknown field."]},
        {
            "username": ["A username may have Chinese characters, Latin letters, digits and _ . @ + -."],
            "phone": ["6 to 15 digits, optionally with a leading +."],
        },
    ]
    assert complaints("zh-CN")[0] == {"colour": ["未知字段。"]}


def test_language_of_one_request_is_not_that_of_the_next() -> None:
    for _ in range(2):
        assert ENGLISH_TITLE in Client(headers={"Accept-Language": "en"}).get("/login/").content.decode()
        assert Api().get("/api/v1/orders/").json()["msg"] == "请先登录。"
        assert (
            Api().get("/api/v1/orders/", headers={"Accept-Language": "en"}).json()["msg"]
            == "Please log in first."
        )
        assert translation.get_language() == settings.LANGUAGE_CODE


def test_documentation_is_what_it_was() -> None:
    english = Client(headers={"Accept-Language": "en"})
    assert "请先登录。" in english.get("/api/schema/").content.decode()


def choose(language: str, **more: Any) -> Any:
    return Client().post("/language/", {"language": language}, **more)


def test_choice_is_kept_and_leads_back() -> None:
    response = choose("en", headers={"Referer": "http://testserver/courses/1/?x=1"})
    assert (response.status_code, response["Location"]) == (302, "http://testserver/courses/1/?x=1")
    cookie = response.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert (cookie.value, cookie["max-age"], cookie["samesite"], cookie["httponly"]) == (
        "en",
        365 * 24 * 3600,
        "Lax",
        True,
    )


@pytest.mark.parametrize("language", ["tlh", "", "../../etc", "en\x00"])
def test_unknown_language_is_not_stored(language: str) -> None:
    assert settings.LANGUAGE_COOKIE_NAME not in choose(language).cookies


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example", "javascript:alert(1)",
    "https:evil.example",
    "///evil.example", "http://testserver@evil.example/", "http://testserver.evil.example/",
    "\thttps://evil.example", "https://evil。example/",
]  # fmt: skip


@pytest.mark.parametrize("place", ELSEWHERE)
def test_choice_leads_to_no_other_site(place: str) -> None:
    for response in (
        choose("en", headers={"Referer": place}),
        Client().post("/language/", {"language": "en", "next": place}),
    ):
        assert (response.status_code, response["Location"]) == (302, "/")


def test_nothing_but_a_post_chooses() -> None:
    for method in ("get", "head", "put", "delete"):
        response = getattr(Client(), method)("/language/?language=en")
        assert (response.status_code, settings.LANGUAGE_COOKIE_NAME in response.cookies) == (405, False)
