"""Where each task runs, how long it may take and how it retries: every such rule, by task name, on one screen.

A task that isn't listed here doesn't start (a test compares the table with what is registered).

Retries by Celery are for a database or a broker that is away for a moment. What failed for a row's own reason is put back by
`shop/domain/work.py` with a backoff in the row; nothing waits in the broker for more than a few seconds.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """`time_limit_s` is hard: there are no soft limits, since one that strikes during a COMMIT leaves its outcome unknown."""

    queue: str
    time_limit_s: int
    max_retries: int


POLICIES: dict[str, TaskPolicy] = {
    "shop.prepare_checkouts": TaskPolicy(queue="checkout", time_limit_s=30, max_retries=0),
    "shop.create_orders": TaskPolicy(queue="orders", time_limit_s=30, max_retries=0),
    "shop.expire_coupons": TaskPolicy(queue="upkeep", time_limit_s=30, max_retries=0),
    "shop.purge_tokens": TaskPolicy(queue="upkeep", time_limit_s=30, max_retries=0),
    "shop.fold_totals": TaskPolicy(queue="upkeep", time_limit_s=30, max_retries=0),
    "payments.apply_notifications": TaskPolicy(queue="payments", time_limit_s=30, max_retries=0),
    # Each row of these takes up to four calls of ALIPAY_TIMEOUT_S each, and a run starts none after its first ten seconds.
    "payments.query_payments": TaskPolicy(queue="gateway", time_limit_s=40, max_retries=0),
    "payments.close_orders": TaskPolicy(queue="gateway", time_limit_s=40, max_retries=0),
    "payments.send_refunds": TaskPolicy(queue="gateway", time_limit_s=40, max_retries=0),
    "payments.purge_personal_data": TaskPolicy(queue="upkeep", time_limit_s=30, max_retries=0),
    "payments.audit": TaskPolicy(queue="upkeep", time_limit_s=600, max_retries=0),
    "worker.sweep": TaskPolicy(queue="upkeep", time_limit_s=30, max_retries=0),
}
# By what their tasks wait for: the database, which answers in milliseconds or not at all, or Alipay, which may take seconds for each answer.
# Workers that take from both let Alipay hold up orders and notifications.
DATABASE_QUEUES = ("checkout", "orders", "payments", "upkeep")
GATEWAY_QUEUES = ("gateway",)
QUEUES = DATABASE_QUEUES + GATEWAY_QUEUES


def routes() -> dict[str, dict[str, str]]:
    """Celery's `task_routes`."""
    return {name: {"queue": policy.queue} for name, policy in POLICIES.items()}


def annotations() -> dict[str, dict[str, Any]]:
    """Celery's `task_annotations`."""
    return {
        name: {"time_limit": policy.time_limit_s, "max_retries": policy.max_retries, "default_retry_delay": 1}
        for name, policy in POLICIES.items()
    }
