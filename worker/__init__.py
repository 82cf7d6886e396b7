"""The Celery process: app, queues and routes, time limits, beat schedule.

`celery -A worker` finds the app in `worker/celery.py`.
"""
