"""Celery's settings, each with its reason. Loaded by `worker/celery.py`."""

from django.conf import settings
from kombu import Exchange, Queue

from shop import broker_address
from worker.policy import QUEUES, annotations, routes

_broker = broker_address.parse(settings.CELERY_BROKER_URL)
# Set for both directions: otherwise Celery prefers CELERY_BROKER_URL from the environment, and it doesn't
# support CELERY_BROKER_URL_FILE.
broker_url = broker_read_url = broker_write_url = _broker.url
broker_use_ssl = _broker.use_ssl

# --- Messages -----------------------------------------------------------------------------------------------

# Messages are hints without content, in a format that can't execute code when it is read.
task_serializer = "json"
accept_content = ["json"]
# Results are rows. A result backend that is down would block each publish for 19 s.
task_ignore_result = True
# Queues on the default exchange need no bindings, so a flushed broker loses its messages but no later ones.
_queue_arguments = {"x-queue-type": settings.BROKER_QUEUE_TYPE} if settings.BROKER_QUEUE_TYPE else None
task_queues = [
    Queue(name, Exchange("", type="direct"), routing_key=name, queue_arguments=_queue_arguments)
    for name in QUEUES
]
task_default_queue = "upkeep"
task_create_missing_queues = False
task_routes = routes()
task_annotations = annotations()

# A worker that reconnects reuses its own control queue. If that were exclusive, RabbitMQ would refuse it for
# as long as the server considers the worker's previous connection alive.
control_queue_exclusive = False
# RabbitMQ 4 requires shared queues to be durable; this one expires ten seconds after its last consumer.
control_queue_durable = True

# --- Publishing (the web process, beat) ---------------------------------------------------------------------

# Without a socket timeout a frozen broker would block a publisher for ever: it gets two attempts of 0.25 s.
_REDIS_PUBLISHING = {
    "socket_timeout": 0.25,
    "socket_connect_timeout": 0.25,
    "socket_keepalive": True,
    # After this time the messages of a vanished worker are redelivered: more than twice the longest hard time
    # limit. Nothing waits for that: the sweep finds rows after their lease, and polling a checkout queues it
    # again.
    "visibility_timeout": 1300,
    # How often consumers look for such messages, in seconds; by default 100.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # How long a worker that is killed while looking keeps the others from it, in seconds; by default 300.
    "unacked_mutex_expire": 20,
}
# RabbitMQ confirms each message. Without that a publisher doesn't notice that it writes to a dead connection.
_RABBITMQ_PUBLISHING = {"confirm_publish": True, "connect_timeout": 1, "read_timeout": 1, "write_timeout": 1}
broker_transport_options = {
    **(_REDIS_PUBLISHING if _broker.redis else _RABBITMQ_PUBLISHING),
    **_broker.transport_options,
}
# RabbitMQ closes a connection without the agreed heartbeats, and only a consumer's event loop sends any: see
# `worker/heartbeat.py`.
broker_heartbeat = 0
# One immediate retry, since an idle connection in the pool may have died. (`retry=False` would be slower:
# kombu then waits itself.)
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

# --- Consuming (the worker) ---------------------------------------------------------------------------------

# A consumer blocks on its queues for a second at a time, so its timeouts are longer than a publisher's. The
# health check detects a half-open connection after 12 s instead of 53.
_REDIS_CONSUMING = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}
# RabbitMQ's consumer waits in its event loop, with heartbeats. Other requests, such as cancelling a consumer,
# are answered at once.
_RABBITMQ_CONSUMING = {"connect_timeout": 4, "read_timeout": 5, "write_timeout": 5}
consumer_transport_options = _REDIS_CONSUMING if _broker.redis else _RABBITMQ_CONSUMING
# At-least-once: a message is acknowledged when its task has ended. Tasks are idempotent.
task_acks_late = True
# The task of a killed child is redelivered, up to three times; rows count their attempts themselves.
task_retry_on_worker_lost = True
task_reject_on_worker_lost = True
# Tasks are short, and each claims a whole batch of rows: reserving more messages would only starve other
# children.
worker_prefetch_multiplier = 1
# Wait without limit for a broker that starts later, restarts, fails over or is full.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
worker_consumer = "worker.reconnecting:Consumer"
broker_channel_error_retry = True
# With Redis, running tasks can finish and acknowledge after the reconnect.
worker_cancel_long_running_tasks_on_connection_loss = False
# A Python process rarely returns memory to the system; replacing a child now and then costs next to nothing.
worker_max_tasks_per_child = 2000
worker_max_memory_per_child = 300_000  # KiB
worker_eta_task_limit = 1000
# Django's LOGGING is the only configuration of logging.
worker_hijack_root_logger = False
# Flower needs events; docs/performance.md says what they cost. A worker started with `-E` sends them.
worker_send_task_events = False
task_send_sent_event = False

# --- Beat ---------------------------------------------------------------------------------------------------

timezone = settings.TIME_ZONE
beat_scheduler = "worker.schedule:TurnScheduler"
