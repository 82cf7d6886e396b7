"""The schema is built once for concurrent requests."""

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from project.api import schemaview
from tests.races.crowd import run_at_once

pytestmark = pytest.mark.django_db
PATH = "/api/schema/"


@pytest.fixture(autouse=True)
def fresh() -> None:
    schemaview._schema.cache_clear()
    schemaview._rendered.cache_clear()


@pytest.mark.race
def test_parallel_readers_get_one_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted() -> object:
        made.append(1)
        return SchemaGenerator()

    monkeypatch.setattr(schemaview, "SchemaGenerator", counted)

    def read() -> tuple[int, bytes]:
        answer = Client().get(PATH)
        return answer.status_code, answer.content

    answers = run_at_once([read] * 16)
    assert {answer[0] for answer in answers if isinstance(answer, tuple)} == {200}
    assert len(set(answers)) == 1
    assert len(made) == 1


@pytest.mark.parametrize(
    ("accept", "kind", "start"),
    [
        ("*/*", "application/vnd.oai.openapi", b"openapi: 3."),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json", b'{"openapi":"3.'),
        ("application/json", "application/json", b'{"openapi":"3.'),
        ("application/yaml", "application/yaml", b"openapi: 3."),
    ],
)
def test_format_is_negotiated(accept: str, kind: str, start: bytes) -> None:
    answer = Client().get(PATH, headers={"Accept": accept})
    assert answer["Content-Type"] == f"{kind}; charset=utf-8"
    assert (
        answer.content.replace(b": ", b":")
        .replace(b"\n", b"")
        .replace(b" ", b"")
        .startswith(start.replace(b" ", b""))
    )
    assert answer["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize(
    "query", ["version=%0d%0aX: y", "lang=%00", "lang=klingon", "version=1", "format=json", "format=x"]
)
def test_no_query_string_causes_a_500(query: str) -> None:
    assert Client(raise_request_exception=False).get(f"{PATH}?{query}").status_code < 500


def test_memory_answers_from_the_second_time_on() -> None:
    first, second = Client().get(PATH), Client().get(PATH)
    assert first.content == second.content
    assert schemaview._rendered.cache_info().hits == 1
