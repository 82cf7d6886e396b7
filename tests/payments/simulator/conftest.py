"""The simulator as a real process on a free port; these tests need neither Django nor a database."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments.simulator.process import Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop


@pytest.fixture(scope="session")
def running_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    simulator.start()
    yield simulator
    simulator.stop()
    simulator.http.close()


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """One process for all tests, wiped before each."""
    running_simulator.control("DELETE", "/settings")
    running_simulator.control("POST", "/wipe")
    return running_simulator


@pytest.fixture
def sdk(simulator: Simulator) -> GatewayAliPay:
    return simulator.sdk()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    stop = shop.start()
    yield shop
    stop()


@pytest.fixture
def own_simulator(running_simulator: Simulator, tmp_path: Path) -> Iterator[Simulator]:
    """A process for this test alone, which may stop and restart it. Its keys are copied, since generating
    keys takes a second.
    """
    simulator = Simulator(tmp_path / "state")
    shutil.copytree(running_simulator.state / "keys", simulator.state / "keys")
    simulator.start()
    yield simulator
    if simulator.process is not None and simulator.process.poll() is None:
        simulator.stop()
    simulator.http.close()
