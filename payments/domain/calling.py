"""Work that waits for the gateway: many calls at once in threads that know no database, while one thread claims rows and settles answers.

Claiming is a transaction, the calls are made in none, and settling is another one for all the answers that have come meanwhile: the longer
it takes, the more there are in the next. A row that raises is put back alone, as `shop/domain/work.py` does it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from django.conf import settings
from django.db.models import F

from payments.gateways.protocol import Gateways, GatewayShut
from shop.domain import work
from shop.models import Work

# How long an answer waits for others, so that they are settled together: a transaction for each would cost more than the calls.
GATHER_S = 0.02
# How long a row rests that was claimed when no call could be made.
PUT_OFF = timedelta(seconds=5)


class Question(Protocol):
    """What is asked about one row: everything that the call needs, read before."""

    @property
    def row_id(self) -> int: ...


Asked = TypeVar("Asked", bound=Question)
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Errand(Generic[Asked, Told]):
    """One kind of work: what is read before the call, the call, and what its answers come to.

    `prepare` gets the ids of claimed rows and answers a question for each that needs a call; the others it deals with itself. `ask` makes
    the calls of one question, without the database. `settle` is one transaction. The first and the last are given at most `batch` rows.
    """

    model: type[Work]
    prepare: Callable[[Sequence[int]], Sequence[Asked]]
    ask: Callable[[Asked], Told]
    settle: Callable[[Sequence[tuple[Asked, Told]]], None]
    batch: int = 64


class InTurn(Executor):
    """Calls one after the other, in the caller's own thread."""

    size = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as any executor: whoever asks for the result is told
            future.set_exception(error)
        return future


class SideBySide(ThreadPoolExecutor):
    """So many calls at once, of whatever kind of work: first come, first served."""

    def __init__(self, size: int) -> None:
        super().__init__(size, thread_name_prefix="gateway")
        self.size = size


Callers = InTurn | SideBySide


@cache
def get_callers() -> SideBySide:
    """The process's threads for calls, shared by all its tasks."""
    return SideBySide(settings.GATEWAY_CONCURRENCY)


def run(errand: Errand[Asked, Told], *, gateways: Gateways | None, now: datetime, callers: Callers | None = None) -> int:
    """Claims due rows and takes them as far as they go; returns how many it claimed.

    Never has more calls under way than `callers` and the line to the gateway allow, so nothing is claimed that would only wait. Stops
    claiming when nothing is due, or after `work.DRAIN_S` seconds, and returns when the last call has ended.
    """
    run_ = _Run(errand, gateways, now, callers or InTurn())
    return run_.finish()


class _Run(Generic[Asked, Told]):
    def __init__(self, errand: Errand[Asked, Told], gateways: Gateways | None, now: datetime, callers: Callers) -> None:
        self._errand, self._gateways, self._now, self._callers = errand, gateways, now, callers
        self._calls: dict[Future[Told], Asked] = {}
        self._claimed = 0
        self._is_more = True
        self._stop_at = monotonic() + work.DRAIN_S

    def finish(self) -> int:
        while True:
            while (room := self._room()) > 0:
                self._begin(self._claim(room))
            if not self._calls:
                return self._claimed
            ended = self._wait()
            if self._calls and (room := self._room()) > 0:
                self._begin(self._claim(room))  # first, so that no place stands empty meanwhile
            self._settle(ended)

    def _wait(self) -> list[tuple[Asked, Future[Told]]]:
        """The calls that have ended, one at least."""
        ended, others = wait(self._calls, return_when=FIRST_COMPLETED)
        if others:
            ended |= wait(others, timeout=GATHER_S).done
        return [(self._calls.pop(call), call) for call in ended]

    def _room(self) -> int:
        if not self._is_more or monotonic() >= self._stop_at:
            return 0
        size = self._callers.size
        return (size if self._gateways is None else self._gateways.free(size)) - len(self._calls)

    def _claim(self, room: int) -> list[int]:
        ids: list[int] = []
        while len(ids) < room:
            more = work.claim(self._errand.model, now=self._now, limit=min(room - len(ids), self._errand.batch))
            self._is_more = bool(more)
            if not more:
                break
            ids += more
        self._claimed += len(ids)
        return ids

    def _begin(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), self._errand.batch):
            work.run_split(ids[start : start + self._errand.batch], self._prepare, self._put_back)

    def _prepare(self, ids: Sequence[int]) -> None:
        for question in self._errand.prepare(ids):
            self._calls[self._callers.submit(self._errand.ask, question)] = question

    def _settle(self, ended: Sequence[tuple[Asked, Future[Told]]]) -> None:
        answers: dict[int, tuple[Asked, Told]] = {}
        for question, call in ended:
            error = call.exception()
            if error is None:
                answers[question.row_id] = (question, call.result())
            elif isinstance(error, Exception):
                self._put_back(question.row_id, error)
            else:
                raise error
        ids = list(answers)
        for start in range(0, len(ids), self._errand.batch):
            work.run_split(
                ids[start : start + self._errand.batch],
                lambda some: self._errand.settle([answers[pk] for pk in some]),
                self._put_back,
            )

    def _put_back(self, pk: int, error: Exception) -> None:
        if not isinstance(error, GatewayShut):
            work.put_back(self._errand.model, pk, now=self._now, error=error)
            return
        # Nothing was asked, so nothing has failed.
        self._errand.model.objects.filter(pk=pk, available_at__isnull=False, attempts__gt=0).update(
            available_at=self._now + PUT_OFF, attempts=F("attempts") - 1
        )
