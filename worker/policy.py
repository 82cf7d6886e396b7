"""The queue and the time limit of each task, by name.

A test compares the table with the registered tasks, so that none is forgotten.

Celery retries nothing. `shop/domain/work/due_rows.py` puts failed rows back with a backoff, and the sweep
finds rows whose message was lost. Nothing waits in the broker for more than a few seconds.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """`time_limit_s` is a hard limit. There are no soft limits: one that fires during a COMMIT leaves its
    outcome unknown.
    """

    queue: str
    time_limit_s: int


POLICIES: dict[str, TaskPolicy] = {
    "shop.prepare_checkouts": TaskPolicy(queue="checkout", time_limit_s=30),
    "shop.create_orders": TaskPolicy(queue="orders", time_limit_s=30),
    "shop.expire_coupons": TaskPolicy(queue="upkeep", time_limit_s=30),
    "shop.purge_tokens": TaskPolicy(queue="upkeep", time_limit_s=30),
    "shop.fold_totals": TaskPolicy(queue="upkeep", time_limit_s=30),
    "payments.apply_notifications": TaskPolicy(queue="payments", time_limit_s=30),
    # Each row takes up to four calls of ALIPAY_TIMEOUT_S, and a run starts no row after its first ten
    # seconds.
    "payments.query_payments": TaskPolicy(queue="gateway", time_limit_s=40),
    "payments.close_orders": TaskPolicy(queue="gateway", time_limit_s=40),
    "payments.send_refunds": TaskPolicy(queue="gateway", time_limit_s=40),
    "payments.plan_bills": TaskPolicy(queue="upkeep", time_limit_s=30),
    # A day's bill may have a hundred thousand rows, and nobody waits for it.
    "payments.compare_bills": TaskPolicy(queue="gateway", time_limit_s=600),
    "payments.purge_personal_data": TaskPolicy(queue="upkeep", time_limit_s=30),
    "payments.audit": TaskPolicy(queue="upkeep", time_limit_s=600),
    "worker.sweep": TaskPolicy(queue="upkeep", time_limit_s=30),
}
# Queues are split by what their tasks wait for (a bulkhead): the database, which answers in milliseconds or
# not at all, or Alipay, which may take seconds. A worker that consumed both would let Alipay delay orders and
# notifications.
DATABASE_QUEUES = ("checkout", "orders", "payments", "upkeep")
GATEWAY_QUEUES = ("gateway",)
QUEUES = DATABASE_QUEUES + GATEWAY_QUEUES


def routes() -> dict[str, dict[str, str]]:
    """Celery's `task_routes`."""
    return {name: {"queue": policy.queue} for name, policy in POLICIES.items()}


def annotations() -> dict[str, dict[str, Any]]:
    """Celery's `task_annotations`."""
    return {name: {"time_limit": policy.time_limit_s} for name, policy in POLICIES.items()}
