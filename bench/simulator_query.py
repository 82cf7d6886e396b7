"""How many signed query answers the simulator gives per second: `.venv/bin/python bench/simulator_query.py [seconds] [connections]`.

Requests are signed beforehand, so that only the simulator is measured; its process is pinned to one core where the system allows it.
"""

import base64
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ROOT = Path(__file__).resolve().parents[1]
APP_ID = "2021000000000001"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "payments.simulator", "serve", "--state", state, "--port", "0"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
            if hasattr(os, "sched_setaffinity"):
                pin(process.pid)
            path = prepare(Path(state), port)
            latencies = measure(port, path, seconds, connections)
        finally:
            process.terminate()
            process.wait()
    latencies.sort()
    middle, late = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    rate = len(latencies) / seconds
    print(f"{rate:.0f} signed answers per second over {connections} connections; p50 {middle:.1f} ms, p99 {late:.1f} ms")


def pin(pid: int) -> None:
    """Every thread of the process on one core, and this script on the others."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[0]})
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))


def prepare(state: Path, port: int) -> str:
    """Pays one order and returns the path of a query for it."""
    key = load_pem_private_key((state / "keys" / APP_ID / "app_private_key.pem").read_bytes(), None)

    def signed(method: str, biz: str) -> str:
        params = {
            "app_id": APP_ID, "method": method, "charset": "utf-8", "sign_type": "RSA2", "timestamp": "2026-01-01 12:00:00",
            "version": "1.0", "biz_content": biz,
        }  # fmt: skip
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        return "/gateway.do?" + urlencode(
            {**params, "sign": base64.b64encode(key.sign(text.encode(), PKCS1v15(), hashes.SHA256())).decode()}
        )

    ask(port, signed("alipay.trade.precreate", '{"out_trade_no":"B1","subject":"x","total_amount":"1.00"}'))
    ask(port, "/control/trades/B1/pay", verb="POST")
    path = signed("alipay.trade.query", '{"out_trade_no":"B1"}')
    assert b'"trade_status":"TRADE_SUCCESS"' in ask(port, path)
    return path


def ask(port: int, path: str, verb: str = "GET") -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(verb, path)
    body = connection.getresponse().read()
    connection.close()
    return body


def measure(port: int, path: str, seconds: float, connections: int) -> list[float]:
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    def loop() -> None:
        while (started := time.perf_counter()) < until:
            assert b'"trade_status":"TRADE_SUCCESS"' in ask(port, path)
            latencies.append((time.perf_counter() - started) * 1000)

    threads = [threading.Thread(target=loop) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


if __name__ == "__main__":
    main()
