"""How the kernel shares the processors between the web process's threads."""

import os
from contextlib import suppress


def finish_before_others_start() -> None:
    """A thread that is woken doesn't interrupt a running one: it waits until that one waits, or has used its
    time (Linux's `SCHED_BATCH`). Threads that this one starts from now on inherit it.

    The server wakes a thread for every request. It interrupted the one that was answering, only to find the
    interpreter taken or another thread at work on its request: a tenth of an ordinary poll's processor time.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a sandbox may forbid it, and everything works without
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
