"""Parameters of which `bin/test` takes the first, and `bin/test --variants` all of them."""

from typing import Any

import pytest


def first_of(*values: Any) -> list[Any]:
    """The values of a parameter that all show the same thing, such as the devices or languages of one page.

    The first stands for all of them where time is short; the others are marked `variant`.
    """
    first, *others = values
    return [first, *(pytest.param(other, marks=pytest.mark.variant) for other in others)]
