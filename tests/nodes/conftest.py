"""pytest-celery's fixtures with local processes instead of Docker's, for the tests of the nodes
themselves.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from pytest_celery import CeleryBrokerCluster, CeleryTestSetup, CeleryWorkerCluster

from project.local.programs import Program, program
from tests.nodes.shop_nodes import ValkeyNode, WorkerNode, make_broker, make_worker
from worker.celery import app as shop_app

PROBE_ARGV = [
    "-A",
    "tests.nodes.probe_app",
    "worker",
    "-Q",
    "probe",
    "-n",
    "probe@%h",
    "-c",
    "2",
    "--without-gossip",
    "--without-mingle",
    "-l",
    "INFO",
]


@pytest.fixture
def celery_broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    node = make_broker(tmp_path / "broker", password="probe")
    node.start()
    yield node
    node.teardown()


@pytest.fixture
def celery_broker_cluster(celery_broker: ValkeyNode) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(celery_broker)


@pytest.fixture
def celery_backend_cluster() -> None:
    """The shop has no result backend: results are rows."""


@pytest.fixture
def celery_worker(celery_broker: ValkeyNode, tmp_path: Path) -> Iterator[WorkerNode]:
    """A worker of the tiny app in `probe_app.py`."""
    env = {**os.environ, "CELERY_BROKER_URL": celery_broker.config()["url"], "PROBE_FOLDER": str(tmp_path)}
    del env["DJANGO_SETTINGS_MODULE"]  # otherwise Celery would also load the shop's tasks and signals
    node = make_worker(Program("probe", program("celery", *PROBE_ARGV)), env=env, folder=tmp_path)
    node.start()
    yield node
    node.teardown()


@pytest.fixture
def celery_worker_cluster(celery_worker: WorkerNode) -> CeleryWorkerCluster:
    return CeleryWorkerCluster(celery_worker)


@pytest.fixture
def celery_setup(
    celery_worker_cluster: CeleryWorkerCluster,
    celery_broker_cluster: CeleryBrokerCluster,
    celery_backend_cluster: None,
) -> Iterator[CeleryTestSetup]:
    """A broker and a worker, ready, with an app that publishes to them."""
    app = Celery("probe_client", set_as_current=False)
    url = celery_broker_cluster.config()["host_urls"][0]
    # Not `broker_url`: Celery prefers the environment's CELERY_BROKER_URL to it, and that is another server.
    app.conf.update(
        broker_read_url=url, broker_write_url=url, task_ignore_result=True, task_default_queue="probe"
    )
    setup = CeleryTestSetup(celery_worker_cluster, celery_broker_cluster, None, app)
    assert setup.ready(docker=True)  # makes it this thread's app
    yield setup
    setup.teardown()
    app.close()
    shop_app.set_current()
