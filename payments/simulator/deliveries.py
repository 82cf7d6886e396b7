"""One HTTP delivery: sending it, judging the answer, logging it."""

import json
import time
from dataclasses import dataclass, field

import httpx

from payments.simulator.faults import Fault
from payments.simulator.messages import Message
from payments.simulator.simulation import Simulation
from payments.simulator.store import Row

SUCCESS = b"success"
# A shop's answer is read up to this length.
MAX_ANSWER = 65_536


@dataclass(frozen=True)
class Outcome:
    """The shop's answer to a delivery."""

    status: int | None
    answer: str
    error: str
    is_accepted: bool
    duration_ms: float = field(compare=False)


def send(client: httpx.Client, url: str, message: Message, *, timeout_s: float) -> Outcome:
    """Posts a message.

    It is accepted only by status 200 and exactly the seven bytes `success`. Redirects are not followed.
    """
    started = time.perf_counter()
    headers = {"Content-Type": message.content_type, "User-Agent": "Mozilla/4.0", "Connection": "close"}
    status: int | None = None
    body, error = b"", ""
    try:
        request = httpx.Request(
            "POST",
            url,
            headers=headers,
            content=message.body,
            extensions={"timeout": dict.fromkeys(TIMEOUTS, timeout_s)},
        )
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            status = response.status_code
            body = _read(response, started + timeout_s)
        finally:
            response.close()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
        error = f"{type(problem).__name__}: {problem}"
    is_accepted = status == 200 and body == SUCCESS and not error
    duration_ms = (time.perf_counter() - started) * 1000
    return Outcome(status, body[:500].decode("utf-8", "replace"), error, is_accepted, duration_ms)


TIMEOUTS = ("connect", "read", "write", "pool")


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The start of the body, read until the deadline: a shop that drips its answer must not block a sender
    for ever.
    """
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_ANSWER:
            break
        if time.perf_counter() > deadline:
            raise httpx.ReadTimeout("the whole answer took too long")
    return body


@dataclass(frozen=True)
class Dispatch:
    """One delivery of a notification: its number, when it was signed, and its faults."""

    attempt: int
    copy: int
    sent_at: float
    faults: list[Fault] = field(default_factory=list)


def record_delivery(
    sim: Simulation, notification: Row, dispatch: Dispatch, message: Message, outcome: Outcome
) -> int:
    """Logs a delivery and returns its id; 0 if a wipe has removed the notification meanwhile."""
    with sim.store.transaction() as db:
        if db.find("SELECT 1 FROM notification WHERE notify_id = ?", notification["notify_id"]) is None:
            return 0
        return db.insert(
            "delivery",
            notify_id=notification["notify_id"],
            out_trade_no=notification["out_trade_no"],
            attempt=dispatch.attempt,
            copy=dispatch.copy,
            sent_at=dispatch.sent_at,
            real_at=time.time(),
            url=notification["url"],
            content_type=message.content_type,
            body=message.body,
            faults=json.dumps([fault.kind for fault in dispatch.faults]),
            status=outcome.status,
            answer=outcome.answer,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            is_accepted=int(outcome.is_accepted),
        )


def make_client() -> httpx.Client:
    """Ignores proxies of the environment: notifications go straight to the pay request's URL."""
    return httpx.Client(
        trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
    )
