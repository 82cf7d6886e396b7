"""The registry of refusals."""

import re

import pytest

from shop import errors
from shop.errors import DomainError


def _subclasses(kind: type[DomainError]) -> list[type[DomainError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_subclasses(child))]


def test_registry_holds_every_error_once() -> None:
    every = _subclasses(DomainError)
    assert sorted(errors.registry()) == sorted(error.slug for error in every)
    assert len({error.slug for error in every}) == len(every)


@pytest.mark.parametrize("error", _subclasses(DomainError), ids=lambda error: error.slug)
def test_error_is_fit_for_the_api(error: type[DomainError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.slug)
    assert 400 <= error.status <= 503
    assert error.code in {1001, 1002, 1003} or 1100 <= error.code < 1200
    assert re.search(r"[\u4e00-\u9fff]", error.message)


def test_codes_above_1100_mean_one_thing_each() -> None:
    codes = [error.code for error in errors.registry().values() if error.code >= 1100]
    assert len(set(codes)) == len(codes)


def test_error_carries_its_own_text_and_details() -> None:
    error = errors.CartFull("满了", limit=3)
    assert (error.text, dict(error.details), str(error)) == ("满了", {"limit": 3}, "满了")
    assert errors.CartFull().text == errors.CartFull.message
