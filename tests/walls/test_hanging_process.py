"""A web process that can't answer any more is replaced."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.programs import SERVER_OPTIONS, program
from project.local.state import ROOT
from project.local.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

# A view that never returns, on the shop's own admission and keeper.
APPLICATION = """
import os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
from project.web.admission import Admission
from project.web.connections import ConnectionKeeper, Limits

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    start_response("200 OK", [])
    response = Answer([str(os.getpid()).encode()])
    return response

class Answer(list):
    streaming = False
    def close(self): pass

application = Admission(answer, places=2)
ConnectionKeeper(application, Limits(silence_s=300, readers=256, stuck_s=float(os.environ["STUCK_S"]))).start()
"""


@pytest.mark.parametrize(("stuck_s", "is_replaced"), [("3", True), ("300", False)])
def test_a_process_whose_places_hang_is_replaced(stuck_s: str, is_replaced: bool, tmp_path: Path) -> None:
    """The second case is the control: without the keeper's limit the process hangs on."""
    (tmp_path / "hanging.py").write_text(APPLICATION)
    port = find_free_port()
    serve = program("granian", "--interface", "wsgi", "hanging:application", "--port", str(port), "--workers", "1", *SERVER_OPTIONS)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "STUCK_S": stuck_s}
    child = Child(name="web", argv=serve, env=env, cwd=tmp_path, log_path=tmp_path / "web.log")
    child.start()
    try:
        assert wait_until(lambda: is_listening(port) and ask(port) is not None, timeout_s=30)
        first = ask(port)
        hung = [subprocess.Popen([sys.executable, "-c", HANG, str(port)]) for _ in range(2)]
        time.sleep(1)
        assert wait_until(lambda: ask(port) not in {None, first}, timeout_s=25, poll_s=0.5) is is_replaced
        for client in hung:
            client.kill()
            client.wait()
    finally:
        child.kill()


HANG = "import sys, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/hang')"


def ask(port: int) -> str | None:
    """The process that answers, if one does."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/", timeout=1, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
