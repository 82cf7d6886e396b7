"""Every task has a policy, and every policy a task."""

from inspect import signature

from worker import config
from worker.celery import app
from worker.policy import POLICIES, QUEUES, annotations, routes
from worker.schedule import JOBS
from worker.tasks import SWEPT


def own_tasks() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_task_has_a_policy_and_every_policy_a_task() -> None:
    assert set(POLICIES) == {
        name for name in own_tasks() if name.split(".")[0] in {"shop", "payments", "worker"}
    }


def test_every_queue_is_declared_and_used() -> None:
    assert {policy.queue for policy in POLICIES.values()} == set(QUEUES)
    assert [queue.name for queue in config.task_queues] == list(QUEUES)
    assert config.task_default_queue in QUEUES


def test_routes_and_limits_reach_celery() -> None:
    for name, policy in POLICIES.items():
        assert app.amqp.router.route({}, name)["queue"].name == policy.queue
        assert (routes()[name], annotations()[name]["time_limit"]) == (
            {"queue": policy.queue},
            policy.time_limit_s,
        )


def test_no_task_takes_an_id() -> None:
    """A message only wakes. Whoever writes to the broker can name no row, and an old message no row that is
    gone.
    """
    own_tasks()
    assert not [name for name in POLICIES if signature(app.tasks[name].run).parameters]


def test_no_task_outlasts_its_message() -> None:
    """Leases are renewed while a task runs; messages aren't."""
    longest = max(POLICIES[swept.task.name].time_limit_s for swept in SWEPT)
    assert 2 * longest < config.broker_transport_options["visibility_timeout"]


def test_schedule_names_tasks_that_exist() -> None:
    assert {job.task for job in JOBS} <= set(POLICIES)


def test_the_sweep_alone_stays_out_of_flowers_history() -> None:
    assert {name for name in POLICIES if not app.tasks[name].send_events} == {"worker.sweep"}
