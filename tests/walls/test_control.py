"""The control: the same server and application, but the threads that answer also read the bodies."""

import os
from pathlib import Path

import httpx
import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.programs import program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.walls.attacks import ATTACKS, Crowd

APPLICATION = """
from pathlib import Path

BEGUN = Path(__file__).with_name("begun")

def application(environ, start_response):
    with BEGUN.open("ab") as begun:
        begun.write(b".")
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [])
    return [b"read"]
"""
THREADS = 4


@pytest.mark.timeout(60)
def test_without_admission_a_few_connections_stop_everybody(tmp_path: Path) -> None:
    (tmp_path / "naive.py").write_text(APPLICATION)
    port = find_free_port()
    serve = program(
        "granian",
        "--interface",
        "wsgi",
        "naive:application",
        "--port",
        str(port),
        "--workers",
        "1",
        "--blocking-threads",
        str(THREADS),
    )
    child = Child(
        name="web",
        argv=serve,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        cwd=tmp_path,
        log_path=tmp_path / "web.log",
    )
    child.start()
    try:
        assert wait_until(lambda: is_listening(port), timeout_s=20)
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=20, trust_env=False).text == "read"
        with Crowd(("127.0.0.1", port), ATTACKS["no body"], 8) as crowd:
            assert wait_until(lambda: crowd.opened >= 8, timeout_s=10)
            # The first request and those that occupy all threads now.
            assert wait_until(lambda: (tmp_path / "begun").stat().st_size == 1 + THREADS, timeout_s=10)
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False)
    finally:
        child.kill()
