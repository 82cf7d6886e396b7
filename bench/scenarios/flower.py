"""What watching costs: the saturated pipeline with a worker that tells of its tasks and Flower that listens, against the same without."""

import dataclasses
import http.client
import threading
import time
from base64 import b64encode
from collections.abc import Iterator

from bench.figures import Sample
from bench.scenarios.orders import measure_orders
from bench.size import Size
from bench.stage import Stage
from project.local.ports import LOOPBACK

ASK_EVERY_S = 0.5
PATIENCE_S = 10.0


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Exchanges the worker for one with events and starts Flower, measures, and puts everything back."""
    stage.stop("worker")
    stage.start("worker-events", "flower")
    try:
        with _Asker(stage.ports.flower, stage.env["FLOWER_BASIC_AUTH"]) as asker:
            sample = measure_orders(stage, "orders with Flower", size.saturated_orders)
    finally:
        stage.stop("worker-events", "flower")
        stage.start("worker")
    asked = {
        "flower_slowest_s": max(asker.answered_s, default=PATIENCE_S),
        "flower_answers": len(asker.answered_s),
        "flower_failures": asker.failures,
    }
    yield dataclasses.replace(sample, figures={**sample.figures, **asked})


class _Asker(threading.Thread):
    """Asks Flower for its health again and again, as a person's browser or a probe would."""

    def __init__(self, port: int, login: str) -> None:
        super().__init__(daemon=True)
        self._headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
        self._port = port
        self._ended = threading.Event()
        self.answered_s: list[float] = []
        self.failures = 0

    def __enter__(self) -> "_Asker":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self.join(PATIENCE_S)

    def run(self) -> None:
        while not self._ended.wait(ASK_EVERY_S):
            started = time.monotonic()
            for path in ("/healthcheck", "/api/workers"):
                self.failures += not self._is_answered(path)
            self.answered_s.append(time.monotonic() - started)

    def _is_answered(self, path: str) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers=self._headers)
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()
