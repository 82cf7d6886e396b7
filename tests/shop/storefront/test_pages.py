"""The page shells: landmarks, security policy, and existing references."""

import json
import re
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from project.api.errors import bad_request, permission_denied, server_error
from shop.management.commands.seed_demo import seed_courses
from shop.models import Category, Course, PricePolicy
from tests.shop.storefront.static_files import find_static

PAGES = [
    "/",
    "/categories/1/",
    "/courses/1/",
    "/login/",
    "/cart/",
    "/checkout/",
    "/checkout/20260101000000000ABC/",
    "/orders/",
    "/orders/20260101000000000ABC/",
    "/coupons/",
    "/me/",
    "/me/account/",
    "/register/",
    "/password/reset/",
    "/password/reset/done/",
    "/password/reset/complete/",
    "/password/reset/MQ/none-of-ours/",
]
SHELVES = {"/", "/categories/1/"}
STATIC = find_static("shop/shop.css").parent
SCRIPTS = sorted(STATIC.rglob("*.js"))


class Page(HTMLParser):
    """A parsed page: its tags with their attributes, and the text inside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"}:
            self.inline += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def addresses(page: Page) -> list[str]:
    """All URLs that the browser would load."""
    names = [attrs.get("src") or "" for tag in ("script", "img") for attrs in page.all(tag)]
    return [*names, *(attrs.get("href") or "" for attrs in page.all("link"))]


@pytest.fixture(autouse=True)
def shelves(db: None) -> None:
    """A category and a course in it, both with the number 1."""
    category = Category.objects.create(pk=1, name="数据库", brief="行与列")
    course = Course.objects.create(
        pk=1, name="PostgreSQL", course_img="/static/shop/covers/01.svg", status=0, category=category
    )
    PricePolicy.objects.create(course=course, valid_period=30, price="99.00")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('shop_course', 'id'), 1000), "
            "setval(pg_get_serial_sequence('shop_category', 'id'), 1000)"
        )


@pytest.mark.parametrize("path", PAGES)
def test_page_answers_with_its_landmarks(client: Client, path: str) -> None:
    response = client.get(path)
    page = Page(response.content.decode())
    assert response.status_code == 200
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert [attrs["lang"] for attrs in page.all("html")] == ["zh-CN"]
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "h1", "footer", "title")] == [
        1,
        2 if path in SHELVES else 1,
        1,
        1,
        1,
        1,
    ]
    assert [attrs.get("aria-live") for attrs in page.all("div") if attrs.get("id") == "notices"] == ["polite"]


@pytest.mark.parametrize("path", [*PAGES, "/nowhere/"])
def test_page_keeps_to_the_strict_policy(client: Client, path: str) -> None:
    response = client.get(path)
    page = Page(response.content.decode())
    assert response["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in response["Content-Security-Policy"]
    assert page.inline == ""
    assert page.all("style") == []
    assert [
        (tag, name) for tag, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")
    ] == []


@pytest.mark.parametrize("path", [*PAGES, "/nowhere/"])
def test_page_loads_only_files_of_this_site_that_exist(client: Client, path: str) -> None:
    wanted = addresses(Page(client.get(path).content.decode()))
    assert "/static/shop/shop.css" in wanted
    assert [
        name
        for name in wanted
        if not name.startswith("/static/") or finders.find(name.removeprefix("/static/")) is None
    ] == []


def test_every_page_is_tested() -> None:
    storefront = next(
        found
        for found in get_resolver().url_patterns
        if isinstance(found, URLResolver) and found.app_name == "storefront"
    )
    tested = {get_resolver().resolve(path).view_name for path in PAGES}
    pages = [pattern for pattern in storefront.url_patterns if isinstance(pattern, URLPattern)]
    assert {f"storefront:{page.name}" for page in pages} == tested
    assert pages == storefront.url_patterns


def test_page_carries_the_shop_s_clock_and_is_never_stale(client: Client) -> None:
    response = client.get("/cart/")
    page = Page(response.content.decode())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", page.all("html")[0]["data-now"] or "")
    assert response["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "subject"), [("/courses/1/", "1"), ("/orders/ABC123/", "ABC123"), ("/checkout/XYZ9/", "XYZ9")]
)
def test_page_passes_its_ids_to_its_script(client: Client, path: str, subject: str) -> None:
    assert Page(client.get(path).content.decode()).all("main")[0]["data-subject"] == subject


def test_fields_of_the_login_have_labels(client: Client) -> None:
    page = Page(client.get("/login/").content.decode())
    assert (
        [attrs["for"] for attrs in page.all("label")]
        == [attrs["id"] for attrs in page.all("input")]
        == ["username", "password"]
    )


@pytest.mark.parametrize("path", ["/login/", "/cart/", "/register/", "/me/account/"])
def test_page_takes_nothing_in(client: Client, path: str) -> None:
    assert client.post(path, {"username": "buyer", "password": "secret"}).status_code == 405


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_imports_only_scripts_that_exist(script: Path) -> None:
    imported = re.findall(r'^import .*?"([^"]+)";', script.read_text(), re.MULTILINE)
    assert [
        name for name in imported if not name.startswith(".") or not (script.parent / name).is_file()
    ] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_writes_no_markup_and_computes_no_price(script: Path) -> None:
    text = script.read_text()
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|parseFloat|toFixed|https?://",
            text,
        )
        == []
    )


def test_every_demo_course_has_its_cover(client: Client) -> None:
    seed_courses(today=date(2026, 3, 2))
    covers = set(Course.objects.values_list("course_img", flat=True))
    assert len(covers) == 12
    for cover in covers:
        response = client.get(cover)
        body = b"".join(response)
        assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, "image/svg+xml")
        assert b"<script" not in body
        response.close()


def test_unknown_page_is_a_page_with_a_way_home(client: Client) -> None:
    response = client.get("/nowhere/")
    page = Page(response.content.decode())
    assert response.status_code == 404
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "没有找到这个页面" in response.content.decode()
    assert "/" in [attrs["href"] for attrs in page.all("a") if "button" in (attrs.get("class") or "")]


def test_unknown_api_address_keeps_its_envelope(client: Client) -> None:
    response = client.get("/api/v1/nowhere/")
    assert (response.status_code, response["Content-Type"]) == (404, "application/json")
    assert response.json() == {
        "code": 1001,
        "error": "not_found",
        "msg": "没有找到您要的内容。",
        "details": {},
    }


@pytest.mark.parametrize(
    ("handler", "status", "slug"),
    [
        (bad_request, 400, "invalid_input"),
        (permission_denied, 403, "permission_refused"),
        (server_error, 500, "internal_error"),
    ],
)
def test_other_errors_are_pages_for_people_and_envelopes_for_programs(
    rf: RequestFactory, handler: Callable[..., HttpResponse], status: int, slug: str
) -> None:
    args = [] if handler is server_error else [Exception()]
    page, envelope = handler(rf.get("/cart/"), *args), handler(rf.get("/api/v1/cart/"), *args)
    assert (page.status_code, envelope.status_code) == (status, status)
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "回到首页" in page.content.decode()
    assert envelope["Content-Type"] == "application/json"
    assert json.loads(envelope.content)["error"] == slug


def test_stylesheet_loads_nothing_from_elsewhere() -> None:
    text = (STATIC / "shop.css").read_text()
    assert re.findall(r"url\(|@import", text) == []


@pytest.mark.parametrize(
    "path", ["//evil.example/orders", "//evil.example/login", "/\\evil.example/orders", "//evil.example//"]
)
def test_address_of_another_site_is_no_redirect(client: Client, path: str) -> None:
    """A redirect appends slashes, and must not turn a path into another site's URL."""
    response = client.get("/", PATH_INFO=path)
    assert response.status_code == 404


def test_course_that_does_not_exist_is_not_found(client: Client) -> None:
    assert client.get("/courses/17/").status_code == 404


def test_page_of_a_course_that_is_off_sale_reveals_nothing(client: Client) -> None:
    """Its script asks whether the reader owns it; for anybody else it doesn't exist."""
    Course.objects.update(status=1)
    response = client.get("/courses/1/")
    assert response.status_code == 200
    assert "PostgreSQL" not in response.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=x",
        "page=99",
        "type=x",
        "type=9",
        "search=" + "长" * 500,
        "search=%ff",
        "search=%25_'\"",
        "x=1",
    ],
)
def test_shelf_answers_whatever_is_asked(client: Client, query: str) -> None:
    assert client.get(f"/?{query}").status_code == 200


def test_shelf_keeps_the_search_on_its_further_pages(client: Client) -> None:
    Course.objects.bulk_create(
        Course(name=f"数据 & 分析 {number}", course_img="/x", status=0) for number in range(30)
    )
    page = Page(client.get("/", {"search": "数据 &"}).content.decode())
    (following,) = [attrs["href"] for attrs in page.all("a") if attrs.get("rel") == "next"]
    assert following == "?search=%E6%95%B0%E6%8D%AE+%26&page=2"
    last = client.get(f"/{following}").content.decode()
    assert last.count('class="whole"') == 6


def test_what_staff_write_is_shown_as_text(client: Client) -> None:
    Course.objects.update(name="<b>x</b>", brief="<script>y</script>", syllabus="# <i>z</i>\n<u>w</u>")
    for path in ("/", "/courses/1/"):
        html = client.get(path, {"search": '"><script>'} if path == "/" else {}).content.decode()
        assert [mark for mark in ("<b>x", "<script>y", "<i>z", "<u>w", '"><script>') if mark in html] == []


def test_syllabus_is_shown_by_chapters(client: Client) -> None:
    Course.objects.update(syllabus="导言\n\n# 第一章\n 一 \n二\n##第二章\n")
    html = client.get("/courses/1/").content.decode()
    part = html[html.index("syllabus-title") :]
    assert re.findall(r"<(h3|li)>(.*?)</", part) == [
        ("li", "导言"),
        ("h3", "第一章"),
        ("li", "一"),
        ("li", "二"),
        ("h3", "第二章"),
    ]
