"""`/metrics`: what the web processes have counted together, and what the database says about the whole shop.

The database's part is the same for every process. The processes of one service query it at most once per
`FRESH_S` seconds, however many scrapes there are, and cache it in a file beside their counters; without a
folder for those, each scrape queries it.
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
    # Concurrent scrapes wait for this result and share it, so a later scrape never sees older values.
    with (folder / "shop.lock").open("a") as lock:
        return (_recall(kept) or _remember(kept, _ask())) if _is_locked(lock) else b""


def _is_locked(lock: IO[str]) -> bool:
    """Waits for the lock for up to `PATIENCE_S` seconds; whether it was acquired.

    So a slow database holds up one scrape, and the others don't occupy places while they wait for it.
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
    """The cached result, unless it is too old. The monotonic clock is the same for all processes of a
    machine.
    """
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
