"""How the kernel shares the processors between the web process's threads."""

import os
from contextlib import suppress


def finish_before_others_start() -> None:
    """Lets a running thread continue when another one wakes up (Linux's `SCHED_BATCH`).

    The woken thread runs when the running one waits or has used up its time slice. Threads that are started
    from now on inherit this.

    The server wakes a thread for every request. It used to preempt the thread that was answering, only to
    find the interpreter taken or another thread at work on its request: a tenth of an ordinary poll's
    processor time.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a sandbox may forbid it, and everything works without
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
