"""Calls of the gateway on behalf of due rows: many at once, in threads that use no database, while one thread
claims rows and settles answers.

Claiming is a transaction, the calls run outside any, and settling is another transaction for all the answers
that have arrived meanwhile: the longer it takes, the more answers the next one settles. A row that raises is
put back alone, as in `shop/domain/work/due_rows.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from django.conf import settings
from django.db.models import F

from payments.gateways.protocol import Gateways, GatewayShut
from shop.domain.work import due_rows, leases
from shop.models import Work
from shop.tracing import carry, step

# How long an answer waits for others, so that they are settled together: a transaction for each would cost
# more than the calls.
GATHER_MS = 20
# How long a row rests if it was claimed when no call could be made.
PUT_OFF = timedelta(seconds=5)


class Question(Protocol):
    """What is asked about one row, with everything that the call needs, read beforehand."""

    @property
    def row_id(self) -> int: ...

    @property
    def trace_id(self) -> str:
        """The purchase's."""


Asked = TypeVar("Asked", bound=Question)
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Errand(Generic[Asked, Told]):
    """One kind of work: what is read before the call, the call itself, and what follows from the answers.

    `prepare` gets the ids of claimed rows and returns a question for each that needs a call; it deals with
    the others itself. `ask` makes the calls for one question and uses no database. `settle` is one
    transaction. `prepare` and `settle` get at most `batch` rows.
    """

    model: type[Work]
    prepare: Callable[[Sequence[int]], Sequence[Asked]]
    ask: Callable[[Asked], Told]
    settle: Callable[[Sequence[tuple[Asked, Told]]], None]
    batch: int = 64


class InTurn(Executor):
    """Makes calls one after the other, in the caller's own thread."""

    size = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as any executor: whoever asks for the result is told
            future.set_exception(error)
        return future


class SideBySide(ThreadPoolExecutor):
    """Makes up to `size` calls at once, of any kind of work: first come, first served."""

    def __init__(self, size: int) -> None:
        super().__init__(size, thread_name_prefix="gateway")
        self.size = size


Callers = InTurn | SideBySide


@cache
def get_callers() -> SideBySide:
    """The process's threads for calls, shared by all its tasks."""
    return SideBySide(settings.GATEWAY_CONCURRENCY)


def run(
    errand: Errand[Asked, Told], *, gateways: Gateways | None, now: datetime, callers: Callers | None = None
) -> int:
    """Claims due rows and takes them as far as they go; returns how many it claimed.

    Never has more calls under way than `callers` and the gateway's call limits allow, so nothing is claimed
    that would only wait. Stops claiming when nothing is due, or after `work.DRAIN_S` seconds, and returns
    when the last call has ended.
    """
    return _Run(errand, gateways, now, callers or InTurn()).finish()


@dataclass(slots=True)
class _Lease:
    """The lease of one claim's rows. `left` are the rows that are still worked on."""

    attempts: Mapping[int, int]
    left: set[int]
    drop: Callable[[int], object]
    end: ExitStack


class _Run(Generic[Asked, Told]):
    def __init__(
        self, errand: Errand[Asked, Told], gateways: Gateways | None, now: datetime, callers: Callers
    ) -> None:
        self._errand, self._gateways, self._now, self._callers = errand, gateways, now, callers
        self._name = f"ask about {due_rows.table_of(errand.model)}"
        self._began_at = monotonic()
        self._calls: dict[Future[Told], Asked] = {}
        self._leases: dict[int, _Lease] = {}
        self._claimed = 0
        self._is_more = True

    def finish(self) -> int:
        try:
            self._work_off()
        finally:
            for pk in list(self._leases):
                self._let_go(pk)
        return self._claimed

    def _work_off(self) -> None:
        while True:
            while (room := self._room()) > 0:
                self._begin(self._claim(room))
            if not self._calls:
                return
            ended = self._wait()
            if self._calls and (room := self._room()) > 0:
                self._begin(self._claim(room))  # first, so that no place stands empty meanwhile
            self._settle(ended)

    def _wait(self) -> list[tuple[Asked, Future[Told]]]:
        """The calls that have ended, at least one."""
        ended, others = wait(self._calls, return_when=FIRST_COMPLETED)
        if others:
            ended |= wait(others, timeout=GATHER_MS / 1000).done
        return [(self._calls.pop(call), call) for call in ended]

    def _moment(self) -> datetime:
        """The present, by the same clock as `now`."""
        return self._now + timedelta(seconds=monotonic() - self._began_at)

    def _room(self) -> int:
        if not self._is_more or monotonic() - self._began_at >= due_rows.DRAIN_S:
            return 0
        size = self._callers.size
        return (size if self._gateways is None else self._gateways.free(size)) - len(self._calls)

    def _claim(self, room: int) -> list[int]:
        ids: list[int] = []
        while len(ids) < room:
            moment = self._moment()
            taken = due_rows.take(
                self._errand.model, now=moment, limit=min(room - len(ids), self._errand.batch)
            )
            self._is_more = bool(taken)
            if not taken:
                break
            self._keep(taken, since=moment)
            ids += taken
        self._claimed += len(ids)
        return ids

    def _keep(self, taken: Mapping[int, int], *, since: datetime) -> None:
        stack = ExitStack()
        drop = stack.enter_context(leases.kept(self._errand.model, taken, since=since))
        self._leases.update(dict.fromkeys(taken, _Lease(taken, set(taken), drop, stack)))

    def _let_go(self, pk: int) -> int | None:
        """Stops renewing the row's lease; returns the number of its attempt."""
        lease = self._leases.pop(pk, None)
        if lease is None:
            return None
        lease.drop(pk)
        lease.left.discard(pk)
        if not lease.left:
            lease.end.close()
        return lease.attempts[pk]

    def _begin(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), self._errand.batch):
            due_rows.run_split(ids[start : start + self._errand.batch], self._prepare, self._put_back)

    def _prepare(self, ids: Sequence[int]) -> None:
        questions = self._errand.prepare(ids)
        for pk in set(ids) - {question.row_id for question in questions}:
            self._let_go(pk)
        for question in questions:
            self._calls[
                self._callers.submit(carry(self._errand.ask, self._name, question.trace_id), question)
            ] = question

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
            some = ids[start : start + self._errand.batch]
            with step(f"answers about {due_rows.table_of(self._errand.model)}", rows=len(some)):
                due_rows.run_split(
                    some, lambda part: self._errand.settle([answers[pk] for pk in part]), self._put_back
                )
            for pk in some:
                self._let_go(pk)

    def _put_back(self, pk: int, error: Exception) -> None:
        attempt = self._let_go(pk)
        if not isinstance(error, GatewayShut):
            due_rows.put_back(self._errand.model, pk, now=self._moment(), error=error, attempt=attempt)
            return
        # Nothing was asked, so nothing has failed.
        mine = self._errand.model.objects.filter(pk=pk, available_at__isnull=False, attempts__gt=0)
        if attempt is not None:
            mine = mine.filter(attempts=attempt)
        mine.update(available_at=self._moment() + PUT_OFF, attempts=F("attempts") - 1)
