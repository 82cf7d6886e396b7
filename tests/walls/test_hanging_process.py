"""A web process that stops answering is replaced."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.programs import SERVER_ENVIRONMENT, SERVER_OPTIONS, program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.walls.attacks import head

pytestmark = pytest.mark.timeout(120)
PLACES = 2

# A view that never returns, on the shop's own admission and keeper.
APPLICATION = """
import os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
from project.web.admission import Admission
from project.web.connections import ConnectionKeeper, Limits
from project.web.places import Shares

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    start_response("200 OK", [])
    response = Answer([str(os.getpid()).encode()])
    return response

class Answer(list):
    streaming = False
    def close(self): pass

shares = Shares(seconds=1, burst_s=1, waiting=100, waiting_in_all=1000, patience_s=10)
application = Admission(answer, places=int(os.environ["PLACES"]), shares=shares)
limits = Limits(silence_s=300, readers=256, stuck_s=float(os.environ["STUCK_S"]))
ConnectionKeeper(application, limits).start()
"""


def test_a_process_whose_places_hang_is_replaced(tmp_path: Path) -> None:
    """The second server is the control: with more patience, it still hangs when the first has been
    replaced.
    """
    (tmp_path / "hanging.py").write_text(APPLICATION)
    with serving(tmp_path, stuck_s=1) as port, serving(tmp_path, stuck_s=300) as patient_port:
        assert wait_until(
            lambda: all(is_listening(each) and ask(each) is not None for each in (port, patient_port)),
            timeout_s=60,
        )
        first, patient = ask(port), ask(patient_port)
        with ExitStack() as hanging:
            for each in (port, patient_port):
                for _ in range(PLACES):
                    hanging.enter_context(socket.create_connection(("127.0.0.1", each))).sendall(
                        head(b"/hang") + b"\r\n"
                    )
            assert wait_until(lambda: ask(port, timeout_s=0.5) not in {None, first}, timeout_s=25, poll_s=0.2)
            assert (
                wait_until(lambda: ask(patient_port, timeout_s=0.5) not in {None, patient}, timeout_s=1)
                is False
            )
            assert ask(patient_port) is None


@contextmanager
def serving(folder: Path, *, stuck_s: float) -> Iterator[int]:
    port = find_free_port()
    options = ("--port", str(port), "--workers", "1", *SERVER_OPTIONS, "--respawn-interval", "0.5")
    serve = program("granian", "--interface", "wsgi", "hanging:application", *options)
    env = {
        **os.environ,
        **SERVER_ENVIRONMENT,
        "PYTHONPATH": f"{ROOT}:{folder}",
        "STUCK_S": str(stuck_s),
        "PLACES": str(PLACES),
    }
    child = Child(name="web", argv=serve, env=env, cwd=folder, log_path=folder / f"web-{port}.log")
    child.start()
    try:
        yield port
    finally:
        child.kill()


def ask(port: int, *, timeout_s: float = 1) -> str | None:
    """The id of the process that answers, if any."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/", timeout=timeout_s, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
