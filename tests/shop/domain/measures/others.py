"""Other tests on the same server."""

from project.local.waiting import wait_until
from shop.domain import sql


def wait_for_others() -> None:
    """Until what other tests have under way in their databases has ended: transactions are numbered by the
    server.
    """
    [(now_at,)] = sql.read("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint", [])
    running = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    assert wait_until(lambda: sql.read(running, [])[0][0] >= now_at, timeout_s=60)
