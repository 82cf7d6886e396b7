"""Finds an installed package without importing it: on import, the servers' packages do more than we want."""

import importlib.util
from pathlib import Path


def find_package(name: str) -> list[Path]:
    """The folders of the package; none when it isn't installed."""
    found = importlib.util.find_spec(name)
    return [] if found is None else [Path(folder) for folder in found.submodule_search_locations or []]
