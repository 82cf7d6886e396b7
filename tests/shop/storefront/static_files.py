"""The storefront's stylesheets and scripts, as files."""

from pathlib import Path

from django.contrib.staticfiles import finders


def find_static(name: str) -> Path:
    """Where a static file lies; the test fails when there is none of that name."""
    path = finders.find(name)
    assert path is not None, name
    return Path(path)
