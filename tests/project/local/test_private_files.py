"""Other users of the machine can't read the files of the embedded servers and the simulator."""

import stat
from pathlib import Path

import redis

from project.local.simulator import prepare_simulator
from project.local.valkey import ValkeyServer


def open_to_others(folder: Path) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def test_queues_and_carts_are_private(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, "password")
    server.start()
    try:
        with redis.Redis.from_url(server.url()) as client:
            client.set("cart:1", "a course")
            client.bgrewriteaof()
    finally:
        server.stop()
    assert list(tmp_path.rglob("*.aof"))
    assert open_to_others(tmp_path) == []


def test_the_simulators_state_is_private(tmp_path: Path) -> None:
    prepare_simulator(tmp_path / "simulator")
    assert list((tmp_path / "simulator").rglob("app_private_key.pem"))
    assert open_to_others(tmp_path) == []
