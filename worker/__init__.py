"""The Celery process: app, queues and routes, time limits, beat schedule.

`celery -A worker` finds the app in `worker/celery.py`.
"""

from worker.memory import collect_seldom

# Here, since every program of the shop imports this package first: a start is mostly imports, and the search
# for cycles among what they load would take a seventh of it.
collect_seldom()
