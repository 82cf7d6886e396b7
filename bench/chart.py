"""One picture."""

from collections.abc import Sequence
from pathlib import Path

from bench.results import Results


def draw(results: Results, stage: str, histories: Sequence[str], path: Path) -> bool:
    return False
