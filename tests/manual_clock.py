"""A clock that stands still."""


class ManualClock:
    """Seconds that pass when a test says so, for what takes `time.monotonic`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
