"""What beat sends, and how often. Every job here may run twice or be missed: it looks at rows, not at the time of its last run."""

from typing import Any

from celery.schedules import crontab
from django.conf import settings

beat_schedule: dict[str, dict[str, Any]] = {
    # A tick that waited longer than its interval is overtaken by the next one and dropped.
    "sweep": {"task": "worker.sweep", "schedule": settings.SWEEP_INTERVAL_S, "options": {"expires": settings.SWEEP_INTERVAL_S}},
    # At a quiet hour, Beijing time.
    "audit": {"task": "payments.audit", "schedule": crontab(hour=4, minute=30)},
    "purge-personal-data": {"task": "payments.purge_personal_data", "schedule": 3600.0, "options": {"expires": 3600}},
    "purge-tokens": {"task": "shop.purge_tokens", "schedule": 3600.0, "options": {"expires": 3600}},
    "expire-coupons": {"task": "shop.expire_coupons", "schedule": 600.0, "options": {"expires": 600}},
}
