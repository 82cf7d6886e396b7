"""Refuses servers that the shop can't work with when a process starts, if they can be reached then."""

from collections.abc import Iterator

import amqp
from celery import current_app
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from shop import broker_address, redis_address


def refuse_unfit_servers() -> None:
    """Runs the checks of `manage.py check --database default`, which Django doesn't run for serving
    processes.

    Raises:
        ImproperlyConfigured: a server or a pooler lacks something that the shop needs.
    """
    problems = run_checks(tags=[Tags.database], databases=["default"])
    connection.close()  # threads and pool processes have their own
    if problems:
        raise ImproperlyConfigured("; ".join(str(problem.msg) for problem in problems))


def find_unfit_servers() -> Iterator[str]:
    """Yields what is wrong with each server. An unreachable server is skipped."""
    addresses = {
        "REDIS_URL": redis_address.parse(settings.REDIS_URL),
        "CELERY_BROKER_URL": broker_address.parse(settings.CELERY_BROKER_URL).redis,
    }
    for name, address in addresses.items():
        reason = None if address is None else redis_address.find_unfitness(address)
        if reason:
            yield f"{name} names a server that the shop can't work with: {reason}."
    if addresses["CELERY_BROKER_URL"] is None:
        yield from _find_queues_of_another_type()


def _find_queues_of_another_type() -> Iterator[str]:
    """Declares each queue with its type. RabbitMQ refuses a queue that exists with another type, and closes
    the channel.
    """
    try:
        with current_app.connection_for_write() as connection:
            for name, queue in sorted(current_app.amqp.queues.items()):
                try:
                    with connection.channel() as channel:
                        queue(channel).declare()
                except amqp.PreconditionFailed:
                    wanted = settings.BROKER_QUEUE_TYPE or "classic"
                    yield (
                        f"BROKER_QUEUE_TYPE wants queues of type {wanted}, and RabbitMQ has the queue {name} "
                        f"as another one. "
                        f"Without workers and web processes: rabbitmqctl delete_queue {name}. Nothing is "
                        f"lost, since rows are the truth."
                    )
    except (amqp.AMQPError, OSError):
        return
