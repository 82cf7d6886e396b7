"""Since when the gateway has been silent, for processes that don't call it: a circuit breaker is known to its
own process only.
"""

from datetime import datetime

from payments.gateways.protocol import Gateways
from shop.domain.measures import measurements

NAME = "gateway_silent"


def note_silence(*, gateways: Gateways, now: datetime) -> None:
    """After calls were made, or would have been.

    Every run of a gateway task comes here, so it costs one read by the key, and a write only on a change.
    """
    noted = measurements.find(NAME)
    if noted is None and gateways.is_silent():
        measurements.note_first(NAME, {}, now=now)
    elif noted is not None and not gateways.is_silent():
        measurements.drop(noted)


def find_silent_since() -> datetime | None:
    found = measurements.find(NAME)
    return None if found is None else found.taken_at
