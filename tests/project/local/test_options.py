"""The command line of `bin/demo`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project.local.errors import LocalError
from project.local.options import PORTS, option_of, parse
from project.local.ports import assign_ports, find_free_port
from project.local.state import ROOT


def test_every_part_has_a_port_option() -> None:
    assert parse([]).ports == {}
    asked = {part: 20_000 + number for number, part in enumerate(PORTS)}
    line = [word for part, port in asked.items() for word in (option_of(part), str(port))]
    assert parse(line).ports == asked
    assert option_of("web") == "--port"


@pytest.mark.parametrize("port", ["0", "-1", "65536", "x", "80.5", "", "８０", "1e3"])
@pytest.mark.parametrize("part", PORTS)
def test_invalid_port_is_refused(part: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse([f"{option_of(part)}={port}"])
    assert left.value.code == 2
    assert "a number from 1 to 65535 is needed" in capsys.readouterr().err


def test_two_parts_do_not_share_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--port", "9000", "--flower-port", "9000"])
    assert "two parts can't have the same port" in capsys.readouterr().err


def test_wanted_port_is_not_given_to_another_part() -> None:
    port = find_free_port()
    ports = assign_ports({"web": 1, "flower": port}, wanted={"web": port}, option_of=option_of)
    assert ports["web"] == port
    assert ports["flower"] != port


def test_taken_port_is_named_with_its_option() -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LocalError, match=rf"Port {port} .* --valkey-port N"):
            assign_ports(PORTS, wanted={"valkey": port}, option_of=option_of)


@pytest.mark.parametrize(
    ("argument", "status"), [("--help", 0), ("-h", 0), ("--port=70000", 2), ("--prot", 2)]
)
def test_help_and_mistakes_need_no_installation(tmp_path: Path, argument: str, status: int) -> None:
    """In a new checkout, without creating a virtual environment."""
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    (tmp_path / "project" / "local").mkdir(parents=True)
    for name in ("project/__init__.py", "project/local/__init__.py", "project/local/options.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    ended = subprocess.run(
        [tmp_path / "bin" / "demo", argument], capture_output=True, text=True, check=False, env=env
    )
    assert ended.returncode == status
    assert "--simulator-port N" in ended.stdout + ended.stderr
    assert not (tmp_path / ".venv").exists()
