"""Where an installed package lies, without importing it: the servers' packages do things on import that are
no business of ours.
"""

import importlib.util
from pathlib import Path


def find_package(name: str) -> list[Path]:
    """The folders of the package; none when it isn't installed."""
    found = importlib.util.find_spec(name)
    return [] if found is None else [Path(folder) for folder in found.submodule_search_locations or []]
