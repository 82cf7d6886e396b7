"""The storefront's stylesheets and scripts, as files."""

from pathlib import Path

from django.contrib.staticfiles import finders


def find_static(name: str) -> Path:
    """The path of a static file; the test fails if there is none of this name."""
    path = finders.find(name)
    assert path is not None, name
    return Path(path)
