"""The two proxies of deploy/, each started from its file as it is shipped, in front of a running shop."""

import os
import shutil
import socket
import ssl
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from project.local.child import Child
from project.local.ports import LOOPBACK, find_free_port
from project.local.state import ROOT
from project.local.tls import make_certificate
from project.local.waiting import wait_until

NAMES = ("caddy", "nginx")
MISSING = "{} is not installed. On Debian and Ubuntu: apt-get install --no-install-recommends {}"
# What a distribution's nginx.conf has around the file.
_NGINX = """
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 2; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {shop}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy that listens."""

    name: str
    port: int
    child: Child

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def require(name: str) -> str:
    """Where the program is. Skips the test that needs it otherwise."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip(MISSING.format(name, name))
    return found


@contextmanager
def run_proxy(name: str, *, upstream: str, folder: Path, staff: str = "192.0.2.0/24") -> Iterator[Proxy]:
    """`staff` is the network that may reach /admin/."""
    program, port = require(name), find_free_port()
    folder.mkdir(parents=True, exist_ok=True)
    child = (
        _caddy(program, port, upstream, folder, staff)
        if name == "caddy"
        else _nginx(program, port, upstream, folder, staff)
    )
    child.start()
    try:
        if (
            not wait_until(lambda: not child.is_running() or shakes_hands(port), timeout_s=20)
            or not child.is_running()
        ):
            raise RuntimeError(f"{name} did not start:\n{child.log_tail()}")
        yield Proxy(name, port, child)
    finally:
        child.kill()


def shakes_hands(port: int) -> bool:
    """Whether the proxy has its certificate: Caddy listens a moment before it has made one."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            client_context().wrap_socket(connection, server_hostname="localhost").close()
    except OSError:
        return False
    return True


@cache
def client_context() -> ssl.SSLContext:
    """Made once: reading the system's authorities takes longer than many handshakes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _caddy(program: str, port: int, upstream: str, folder: Path, staff: str) -> Child:
    env = {
        "SHOP_ADDRESS": f"https://localhost:{port}",
        "SHOP_HTTP_PORT": str(find_free_port()),
        "SHOP_UPSTREAM": upstream,
        "SHOP_ADMIN_NETWORKS": staff,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PATH": os.environ["PATH"],
    }
    argv = [program, "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
    return Child(name="caddy", argv=argv, env=env, cwd=folder, log_path=folder / "caddy.log")


def _nginx(program: str, port: int, upstream: str, folder: Path, staff: str) -> Child:
    made = make_certificate(folder)
    shop = string.Template((ROOT / "deploy" / "nginx.conf").read_text()).safe_substitute(
        SHOP_DOMAIN="localhost",
        SHOP_UPSTREAM=upstream,
        SHOP_HTTP_PORT=f"{LOOPBACK}:{find_free_port()}",
        SHOP_HTTPS_PORT=f"{LOOPBACK}:{port}",
        SHOP_CERTIFICATE=str(made.certificate),
        SHOP_CERTIFICATE_KEY=str(made.key),
        SHOP_ADMIN_NETWORK=staff,
    )
    (folder / "nginx.conf").write_text(_NGINX.format(shop=shop))
    argv = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    return Child(name="nginx", argv=argv, cwd=folder, log_path=folder / "nginx.log")
