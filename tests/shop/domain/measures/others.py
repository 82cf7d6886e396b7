"""Other tests that share the server."""

from project.local.waiting import wait_until
from shop.domain import sql


def wait_for_others() -> None:
    """Waits until transactions of other tests' databases have ended, since transaction ids are global to the
    server.
    """
    [(now_at,)] = sql.read("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint", [])
    running = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    assert wait_until(lambda: sql.read(running, [])[0][0] >= now_at, timeout_s=60)
