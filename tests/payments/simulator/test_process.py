"""The process: start, stop, restart, keys, and what it may import."""

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from alipay import AliPay

from payments.simulator.cli import main
from tests.payments.simulator.process import APP_ID, ROOT, Simulator
from tests.payments.simulator.shop import Shop


def test_restart_keeps_state_and_goes_on_delivering(own_simulator: Simulator, shop: Shop) -> None:
    shop.answers = [(500, b"")]
    own_simulator.control("PATCH", "/settings", {"service_fee_per_mille": 7})
    own_simulator.pay_order("C1", notify_url=shop.url)
    own_simulator.fault("call_limited")
    shop.wait_for(1)
    own_simulator.advance(100)
    before = own_simulator.order("C1")
    clock = own_simulator.control("GET", "/clock")["now"]
    own_simulator.stop()
    own_simulator.start()
    after = own_simulator.order("C1")
    assert after == before
    assert 0 <= own_simulator.control("GET", "/clock")["now"] - clock < 60
    state = own_simulator.control("GET", "/state")
    assert ([rule["kind"] for rule in state["faults"]], state["settings"]["service_fee_per_mille"]) == (
        ["call_limited"],
        7,
    )
    own_simulator.advance(150)
    assert len(shop.wait_for(2)) == 2
    assert own_simulator.sdk().api_alipay_trade_query(out_trade_no="C1")["code"] == "40005"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_within_two_seconds_whatever_hangs(own_simulator: Simulator, number: int) -> None:
    slow = Shop(delay_s=4)
    stop = slow.start()
    own_simulator.pay_order("C1", notify_url=slow.url)
    own_simulator.fault("hang", out_trade_no="C9")
    query = own_simulator.sdk().sign_data(
        own_simulator.sdk().build_body("alipay.trade.query", {"out_trade_no": "C9"})
    )
    with httpx.Client(trust_env=False, timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"{own_simulator.url}/gateway.do?{query}")
    assert own_simulator.stop(number) < 2
    assert own_simulator.process is not None
    assert own_simulator.process.returncode == 0
    stop()


def test_a_delivery_cut_off_by_a_kill_is_repeated(own_simulator: Simulator, shop: Shop) -> None:
    shop.delay_s = 1.0
    own_simulator.pay_order("C1", notify_url=shop.url)
    time.sleep(0.2)
    own_simulator.stop(signal.SIGKILL)
    shop.delay_s = 0
    own_simulator.start()
    assert len({message.fields()["notify_id"] for message in shop.wait_for(2)}) == 1


def test_init_is_idempotent_and_keys_are_private(tmp_path: Path) -> None:
    assert main(["init", "--state", str(tmp_path)]) == 0
    folder = tmp_path / "keys" / APP_ID
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["init", "--state", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for path in folder.glob("*_private_key.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {"app_private_key.pem", "app_public_key.pem", "alipay_public_key.pem"} <= set(before)


def test_a_known_merchant_keeps_its_seller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--state", str(tmp_path), "--seller-id", "2088000000000077"])
    main(["init", "--state", str(tmp_path)])
    assert [line.split(",")[1] for line in capsys.readouterr().out.splitlines()] == [
        " seller 2088000000000077"
    ] * 2


def test_a_taken_port_is_said_plainly(
    running_simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = running_simulator.url.rpartition(":")[2]
    assert main(["serve", "--state", str(tmp_path), "--port", port]) == 2
    assert "Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--app-id", "../evil"), ("--seller-id", "1")])
def test_init_refuses_invalid_ids(tmp_path: Path, arguments: tuple[str, str]) -> None:
    assert main(["init", "--state", str(tmp_path / "state"), *arguments]) == 2
    assert not (tmp_path / "evil").exists()


def test_keys_come_in_the_forms_that_shops_paste(
    running_simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(*only: str) -> str:
        assert main(["keys", "--state", str(running_simulator.state), *only]) == 0
        return capsys.readouterr().out

    everything = show()
    assert "-----BEGIN RSA PRIVATE KEY-----" in everything
    assert "-----BEGIN PRIVATE KEY-----" in everything
    public = (running_simulator.state / "keys" / APP_ID / "alipay_public_key.pem").read_text()
    for form in ("pkcs1", "pkcs8"):
        AliPay(APP_ID, None, show("--only", f"app private key, {form}"), public)
    assert show("--only", "alipay public key, bare").strip() == "".join(public.splitlines()[1:-1])
    assert main(["keys", "--state", str(running_simulator.state), "--only", "house key"]) == 2


def test_it_imports_nothing_of_the_shop_and_no_sdk() -> None:
    code = "import sys, payments.simulator.cli; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in ("django", "alipay", "celery", "project", "worker", "shop"):
        assert f"'{name}'" not in loaded
    code = (
        "import sys, payments.simulator.cli; print([name for name in sys.modules if "
        "name.startswith('payments.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert all(
        name.startswith("payments.simulator") for name in loaded.strip("[]\n").replace("'", "").split(", ")
    )
