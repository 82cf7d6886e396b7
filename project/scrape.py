"""`/metrics`: what the web processes have counted together, and what the database says of the whole shop.

What the database says is the same whoever is asked. The processes of one service ask it at most once in
`FRESH_S` seconds, however many scrape, and keep the answer in a file beside their counters; without such a
folder each scrape asks.
"""

import fcntl
import time
from pathlib import Path
from typing import IO

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from project.gauges import ShopCollector
from shop import metric_files

# Shorter than any sensible interval between scrapes.
FRESH_S = 5
PATIENCE_S = 1


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    counted = generate_latest(metric_files.service_registry())
    return HttpResponse(_read_shop(metric_files.FOLDER) + counted, content_type=CONTENT_TYPE_LATEST)


def _read_shop(folder: Path | None) -> bytes:
    if folder is None:
        return _ask()
    kept = folder / "shop.prom"
    if (answer := _recall(kept)) is not None:
        return answer
    # Whoever comes meanwhile waits, and gets the same: a later scrape never sees an earlier answer.
    with (folder / "shop.lock").open("a") as lock:
        return (_recall(kept) or _remember(kept, _ask())) if _is_locked(lock) else b""


def _is_locked(lock: IO[str]) -> bool:
    """Whether nobody else asks any more.

    A database that takes so long holds up one scrape, not the places of all who scrape.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _ask() -> bytes:
    registry = CollectorRegistry()
    registry.register(ShopCollector())
    return generate_latest(registry)


def _recall(kept: Path) -> bytes | None:
    """What is kept, unless it is too old. All processes of a machine share the clock that it is told by."""
    try:
        asked_at, _, answer = kept.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return answer if 0 <= time.monotonic() - float(asked_at) < FRESH_S else None


def _remember(kept: Path, answer: bytes) -> bytes:
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(f"{time.monotonic()!r}\n".encode() + answer)
    fresh.replace(kept)
    return answer
