"""A clock that only moves when told to."""


class ManualClock:
    """Replaces `time.monotonic`; time passes when a test says so."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
