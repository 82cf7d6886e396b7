"""One shop with two web processes, a worker, a gateway worker and beat, and one Prometheus that scrapes it
with the shipped rules.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.metrics.prometheus import Prometheus, write_configuration
from tests.nodes.shop_nodes import ProcessNode, WorkerNode
from tests.nodes.shop_stack import ShopStack, build_shop_stack

NO_PROMETHEUS = "Debian's prometheus (with promtool) isn't installed; docs/metrics.md says how"


@dataclass
class Observed:
    """The shop, and the addresses at which its workers are scraped."""

    stack: ShopStack
    ports: dict[str, int]

    @property
    def gateway(self) -> WorkerNode:
        return self.stack.extra_workers[0]


@pytest.fixture(scope="package")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    extra = {"PAYMENT_FIRST_QUERY_S": "1", "PAYMENT_QUERY_INTERVAL_S": "1"}
    stack = build_shop_stack(
        tmp_path_factory.mktemp("metrics") / "shop", extra_env=extra, has_gateway_worker=True, web_workers=2
    )
    nodes: dict[str, WorkerNode | ProcessNode] = {
        "worker": stack.worker,
        "gateway": stack.extra_workers[0],
        "beat": stack.beat,
    }
    ports = {name: find_free_port() for name in nodes}
    for name, node in nodes.items():
        child = node.container.child
        child.env = {**(child.env or {}), "METRICS_LISTEN": f"127.0.0.1:{ports[name]}"}
    with stack.running():
        yield Observed(stack, ports)


@pytest.fixture(scope="package")
def prometheus(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip(NO_PROMETHEUS)
    folder, port = tmp_path_factory.mktemp("prometheus"), find_free_port()
    web_port = int(observed.stack.web_url.rsplit(":", 1)[1])
    write_configuration(folder, {"web": web_port, **observed.ports})
    child = Child(
        name="prometheus",
        argv=[
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        log_path=folder / "prometheus.log",
        cwd=ROOT,
    )  # fmt: skip
    child.start()
    try:
        assert wait_until(lambda: is_listening(port), timeout_s=30), child.log_tail()
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        child.stop(timeout_s=10)
