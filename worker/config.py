"""Celery's settings, each with its reason. Loaded by `worker/celery.py`."""

from django.conf import settings
from kombu import Exchange, Queue

from shop import broker_address
from worker.policy import QUEUES, annotations, routes

_broker = broker_address.parse(settings.CELERY_BROKER_URL)
# Named for both directions, since Celery would rather read CELERY_BROKER_URL from the environment itself, and
# knows no CELERY_BROKER_URL_FILE.
broker_url = broker_read_url = broker_write_url = _broker.url
broker_use_ssl = _broker.use_ssl

# --- Messages -----------------------------------------------------------------------------------------------

# The broker carries hints: ids and nothing else, in a form that runs no code when it is read.
task_serializer = "json"
accept_content = ["json"]
# Results are rows. A result backend that is away would block each publish for 19 s.
task_ignore_result = True
# Queues on the default exchange: their messages need no binding, so a flushed broker loses what it held but
# nothing that comes after.
_queue_arguments = {"x-queue-type": settings.BROKER_QUEUE_TYPE} if settings.BROKER_QUEUE_TYPE else None
task_queues = [
    Queue(name, Exchange("", type="direct"), routing_key=name, queue_arguments=_queue_arguments)
    for name in QUEUES
]
task_default_queue = "upkeep"
task_create_missing_queues = False
task_routes = routes()
task_annotations = annotations()

# A worker that reconnects takes up its own queue for commands again. RabbitMQ keeps an exclusive one from it
# for as long as the server believes in the connection that the worker has given up.
control_queue_exclusive = False
# RabbitMQ 4 wants shared queues to be durable; this one goes ten seconds after its last consumer
control_queue_durable = True

# --- Publishing (the web process, beat) ---------------------------------------------------------------------

# A frozen broker would hold a request for ever without a socket time-out: two attempts of a quarter of a
# second are all it gets.
_REDIS_PUBLISHING = {
    "socket_timeout": 0.25,
    "socket_connect_timeout": 0.25,
    "socket_keepalive": True,
    # A worker that vanished has its messages given to another after so long; more than twice the longest hard
    # time limit. Nothing waits for that: rows are found by the sweep after their lease, checkouts are sent
    # again by whoever asks for them.
    "visibility_timeout": 1300,
    # The look-out for such messages; by default once in 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # A worker that is killed while it looks keeps the others from looking for so long; by default five
    # minutes.
    "unacked_mutex_expire": 20,
}
# RabbitMQ says that it has a message; without that a publisher writes into a connection that leads nowhere,
# and never notices.
_RABBITMQ_PUBLISHING = {"confirm_publish": True, "connect_timeout": 1, "read_timeout": 1, "write_timeout": 1}
broker_transport_options = {
    **(_REDIS_PUBLISHING if _broker.redis else _RABBITMQ_PUBLISHING),
    **_broker.transport_options,
}
# RabbitMQ ends a connection that owes it heartbeats, and only a consumer's event loop sends any:
# `worker/heartbeat.py`.
broker_heartbeat = 0
# One more try, at once: a pooled connection may have died while nobody used it. (`retry=False` would be
# slower: kombu then waits itself.)
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

# --- Consuming (the worker) ---------------------------------------------------------------------------------

# A consumer blocks on its queues for a second at a time, so it needs more patience than a publisher; it
# notices a half-open connection by the health check, after 12 s instead of 53.
_REDIS_CONSUMING = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}
# RabbitMQ's consumer waits in its event loop, with heartbeats. What it asks in between, such as to end a
# subscription, is answered at once.
_RABBITMQ_CONSUMING = {"connect_timeout": 4, "read_timeout": 5, "write_timeout": 5}
consumer_transport_options = _REDIS_CONSUMING if _broker.redis else _RABBITMQ_CONSUMING
# A message is taken off when the task is over; work is safe to do twice, unsafe not to do.
task_acks_late = True
# A pool child that is killed gives its task to another, three times; the rows count their attempts
# themselves.
task_retry_on_worker_lost = True
task_reject_on_worker_lost = True
# Tasks are short and one of them takes a whole batch of rows: reserving more than one would only starve the
# other children.
worker_prefetch_multiplier = 1
# Survive a broker that starts later, restarts, fails over, or is full for a while, however long it takes.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
worker_consumer = "worker.reconnecting:Consumer"
broker_channel_error_retry = True
# With Redis, running tasks are better left to finish and acknowledge after the reconnect.
worker_cancel_long_running_tasks_on_connection_loss = False
# Python's memory grows and never shrinks; a fresh child now and then costs nothing.
worker_max_tasks_per_child = 2000
worker_max_memory_per_child = 300_000  # KiB
worker_eta_task_limit = 1000
# Django's LOGGING is the only configuration of logging.
worker_hijack_root_logger = False
# Events are what Flower shows; docs/performance.md says what they cost. A worker sends them if it is started
# with `-E`.
worker_send_task_events = False
task_send_sent_event = False

# --- Beat ---------------------------------------------------------------------------------------------------

timezone = settings.TIME_ZONE
beat_scheduler = "worker.schedule:TurnScheduler"
