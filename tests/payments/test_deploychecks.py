"""`check --deploy` refuses every mistake by name."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.checks import CheckMessage, run_checks
from pytest_django import Settings

from payments.deploychecks import SIMULATOR_APP_ID, SIMULATOR_EXPONENT, SIMULATOR_SELLER_ID, simulator
from payments.simulator.simulation import Simulation
from project.local.state import ROOT
from tests.variants import first_of

LIVE = "https://openapi.alipay.com/gateway.do"
SIMULATOR = "http://simulator:8100/gateway.do"


def write_keys(folder: Path, app: RSAPrivateKey, alipay: RSAPrivateKey) -> None:
    private = folder / "app.pem"
    private.touch(mode=0o600)
    private.write_bytes(app.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "alipay.pem").write_bytes(
        alipay.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder, *(generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)))
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's files, copied to another place."""
    state, away = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("away")
    sim = Simulation(state)
    sim.merchants.register("2021000000000001", "2088000000000001")
    sim.close()
    folder = state / "keys" / "2021000000000001"
    for name, copied in (("app_private_key.pem", "app.pem"), ("alipay_public_key.pem", "alipay.pem")):
        (away / copied).touch(mode=0o600)
        (away / copied).write_bytes((folder / name).read_bytes())
    return away


HONEST = {
    "PUBLIC_URL": "https://shop.example.com",
    "DJANGO_ALLOWED_HOSTS": "shop.example.com",
    "BEHIND_HTTPS_PROXY": "true",
    "TRUSTED_PROXIES": "127.0.0.1",
    "ALIPAY_GATEWAY_URL": LIVE,
    "ALIPAY_APP_ID": "2021004100000000",
    "ALIPAY_SELLER_ID": "2088100000000000",
}
OF_DJANGO = {"DJANGO_ALLOWED_HOSTS": "ALLOWED_HOSTS", "DJANGO_DEBUG": "DEBUG"}
# The settings that follow from an https PUBLIC_URL, and a good secret, for Django's own checks.
HTTPS = {
    "SECRET_KEY": "aB3-dE6_gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6kM9nP2rS5uX8", "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31_536_000,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True, "SECURE_HSTS_PRELOAD": True, "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
}  # fmt: skip


@pytest.fixture
def check(settings: Settings) -> Callable[..., list[CheckMessage]]:
    """Runs the checks for a valid live shop with these keys and these changes of its environment."""

    def run(keys: Path, *, is_deployed: bool = True, **changes: str) -> list[CheckMessage]:
        files = {
            "ALIPAY_APP_PRIVATE_KEY_PATH": str(keys / "app.pem"),
            "ALIPAY_PUBLIC_KEY_PATHS": str(keys / "alipay.pem"),
        }
        env = {**HONEST, **files, **changes}
        for name, value in HTTPS.items():
            setattr(settings, name, value)
        alipay = {
            name.removeprefix("ALIPAY_"): value for name, value in env.items() if name.startswith("ALIPAY_")
        }
        settings.ALIPAY = {
            **settings.ALIPAY,
            "BUYER_GATEWAY_URL": alipay["GATEWAY_URL"],
            "NOTIFY_URL": f"{env['PUBLIC_URL']}/notify/",
            "RETURN_URL": f"{env['PUBLIC_URL']}/return/",
            **alipay,
            "PUBLIC_KEY_PATHS": env["ALIPAY_PUBLIC_KEY_PATHS"].split(","),
        }
        for name, value in env.items():
            if name.startswith("ALIPAY_"):
                continue
            is_list = name in {"DJANGO_ALLOWED_HOSTS", "TRUSTED_PROXIES"}
            typed = (
                [one for one in value.split(",") if one]
                if is_list
                else {"true": True, "false": False}.get(value, value)
            )
            setattr(
                settings,
                OF_DJANGO.get(name, name),
                int(value) if name in {"CLOCK_OFFSET_S", "MAX_TOKENS"} else typed,
            )
        found = run_checks(include_deployment_checks=is_deployed)
        return [message for message in found if not message.is_silenced()]

    return run


Check = Callable[..., list[CheckMessage]]


def ids(messages: list[CheckMessage]) -> list[str]:
    return sorted(message.id for message in messages if message.id)


def test_honest_shop_passes(keys: Path, check: Check) -> None:
    assert check(keys) == []


@pytest.mark.parametrize(
    ("changes", "check_id", "named"),
    [
        ({"ALIPAY_GATEWAY_URL": SIMULATOR}, "payments.E011", SIMULATOR),
        ({"ALIPAY_GATEWAY_URL": SIMULATOR}, "payments.E015", SIMULATOR),
        ({"ALIPAY_GATEWAY_URL": "https://pay.example.com/gateway.do"}, "payments.E015", "ALIPAY_GATEWAY_URL"),
        ({"ALIPAY_GATEWAY_URL": LIVE.replace("https", "http")}, "payments.E010", "ALIPAY_GATEWAY_URL"),
        ({"PUBLIC_URL": "http://shop.example.com"}, "payments.E004", "https"),
        ({"ALIPAY_BUYER_GATEWAY_URL": "http://127.0.0.1:8100/gateway.do"}, "payments.E012",
            "ALIPAY_BUYER_GATEWAY_URL"),
        ({"ALIPAY_NOTIFY_URL": "http://web:8000/api/v1/payments/alipay/notify/"}, "payments.E013",
            "ALIPAY_NOTIFY_URL"),
        ({"ALIPAY_RETURN_URL": "http://shop.example.com/"}, "payments.E013", "ALIPAY_RETURN_URL"),
        ({"ALIPAY_APP_ID": "2021000000000001", "ALIPAY_SELLER_ID": "2088000000000001"}, "payments.E014",
            "ALIPAY_APP_ID"),
        ({"ALLOW_SIMULATOR": "true"}, "payments.W010", "ALLOW_SIMULATOR"),
        ({"ALIPAY_GATEWAY_URL": "https://openapi-sandbox.dl.alipaydev.com/gateway.do",
                "ALIPAY_APP_ID": "9021000000000001"}, "payments.W011", "sandbox"),
        ({"CLOCK_OFFSET_S": "864000"}, "project.E003", "864000"),
        ({"CLOCK_OFFSET_S": "-1"}, "project.E003", "CLOCK_OFFSET_S"),
        ({"DJANGO_ALLOWED_HOSTS": "*"}, "project.E004", "'*'"),
        ({"DJANGO_ALLOWED_HOSTS": "shop.example.com,*"}, "project.E004", "'*'"),
        ({"DJANGO_ALLOWED_HOSTS": "shop.example.com,.com"}, "project.E004", "'.com'"),
        ({"DJANGO_ALLOWED_HOSTS": "other.example.com"}, "project.E005", "shop.example.com"),
        ({"TRUSTED_PROXIES": ""}, "project.E006", "TRUSTED_PROXIES"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "project.E007", "0.0.0.0/0"),
        ({"TRUSTED_PROXIES": "127.0.0.1,::/0"}, "project.E007", "::/0"),
        ({"TRUSTED_PROXIES": "127.0.0.1,8.0.0.0/8"}, "project.E007", "8.0.0.0/8"),
        ({"TRUSTED_PROXIES": "2000::/16"}, "project.E007", "2000::/16"),
        ({"MAX_TOKENS": "0"}, "project.E020", "MAX_TOKENS"),
    ],
    ids=str,
)  # fmt: skip
def test_mix_up_is_refused_by_name(
    keys: Path, check: Check, changes: dict[str, str], check_id: str, named: str
) -> None:
    (message,) = [message for message in check(keys, **changes) if message.id == check_id]
    assert named in message.msg


def test_networks_of_content_delivery_may_be_trusted(keys: Path, check: Check) -> None:
    assert check(keys, TRUSTED_PROXIES="10.0.0.0/8,104.16.0.0/13,2a06:98c0::/29,fc00::/7") == []


def test_operators_command_refuses(keys: Path) -> None:
    """In a process of its own, with an environment."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "ALIPAY_", "LIMIT_"))
    }
    files = {
        "ALIPAY_APP_PRIVATE_KEY_PATH": str(keys / "app.pem"),
        "ALIPAY_PUBLIC_KEY_PATHS": str(keys / "alipay.pem"),
    }
    env = {
        **inherited,
        **HONEST,
        **files,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DJANGO_SECRET_KEY": str(HTTPS["SECRET_KEY"]),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    good = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    mixed_up = {"ALIPAY_GATEWAY_URL": SIMULATOR, "CLOCK_OFFSET_S": "864000", "DJANGO_ALLOWED_HOSTS": "*"}
    bad = subprocess.run(
        command, cwd=ROOT, env={**env, **mixed_up}, capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1
    for name in ("payments.E011", "payments.E015", "project.E003", "project.E004"):
        assert name in bad.stderr


def test_simulators_keys_are_known_wherever_they_lie(keys: Path, simulated: Path, check: Check) -> None:
    assert ids(check(simulated)) == ["payments.E014"] * 2
    for name in ("ALIPAY_APP_PRIVATE_KEY_PATH", "ALIPAY_PUBLIC_KEY_PATHS"):
        assert ids(
            check(keys, **{name: str(simulated / ("app.pem" if "PRIVATE" in name else "alipay.pem"))})
        ) == ["payments.E014"]


def test_former_apps_are_looked_at_too(
    keys: Path, simulated: Path, check: Check, settings: Settings, tmp_path: Path
) -> None:
    def formerly(folder: Path, app_id: str, seller_id: str) -> list[str]:
        files = {
            "APP_PRIVATE_KEY_PATH": str(folder / "app.pem"),
            "PUBLIC_KEY_PATHS": [str(folder / "alipay.pem")],
        }
        settings.ALIPAY = {
            **settings.ALIPAY,
            "FORMER_APPS": [{"APP_ID": app_id, "SELLER_ID": seller_id, **files}],
        }
        return ids(check(keys))

    write_keys(tmp_path, *(generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)))
    assert formerly(tmp_path, "2021004100000009", "2088100000000009") == []
    assert formerly(simulated, "2021004100000009", "2088100000000009") == ["payments.E014"] * 2
    assert formerly(tmp_path, "2021000000000001", "2088000000000001") == ["payments.E014"]
    (tmp_path / "app.pem").chmod(0o644)
    assert formerly(tmp_path, "2021004100000009", "2088100000000009") == ["payments.E016"]


def test_simulator_has_to_be_allowed_wherever_checks_run(simulated: Path, check: Check) -> None:
    local = {
        "ALIPAY_GATEWAY_URL": "http://127.0.0.1:8100/gateway.do",
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
    }
    assert ids(check(simulated, is_deployed=False, **local)) == ["payments.E015"] * 3
    assert check(simulated, is_deployed=False, **local, ALLOW_SIMULATOR="true") == []
    # Alipay's address with the simulator's keys is always wrong.
    assert "payments.E014" in ids(check(simulated, ALLOW_SIMULATOR="true"))


def test_key_of_an_older_simulator_is_known_by_its_neighbour(
    tmp_path: Path, keys: Path, check: Check
) -> None:
    alipay = generate_private_key(public_exponent=65537, key_size=2048)
    write_keys(tmp_path, generate_private_key(public_exponent=65537, key_size=2048), alipay)
    changed = {"ALIPAY_APP_PRIVATE_KEY_PATH": str(keys / "app.pem")}
    assert check(tmp_path, **changed) == []
    (tmp_path / "alipay_private_key.pem").write_bytes(
        alipay.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    assert ids(check(tmp_path, **changed)) == ["payments.E014"]


@pytest.mark.parametrize(
    ("name", "mode", "is_refused"),
    [
        ("app.pem", 0o600, False), ("app.pem", 0o640, False), ("app.pem", 0o400, False),
        ("app.pem", 0o644, True), ("app.pem", 0o660, True),
        ("app.pem", 0o604, True), ("app.pem", 0o602, True), ("alipay.pem", 0o644, False),
        ("alipay.pem", 0o664, True), ("alipay.pem", 0o646, True),
    ],
)  # fmt: skip
def test_key_files_are_for_few(keys: Path, check: Check, name: str, mode: int, is_refused: bool) -> None:
    before = (keys / name).stat().st_mode
    try:
        (keys / name).chmod(mode)
        messages = check(keys)
    finally:
        (keys / name).chmod(before)
    assert ids(messages) == ["payments.E016"] * is_refused
    assert all(f"{mode:04o}" in message.msg and str(keys / name) in message.msg for message in messages)


@pytest.mark.parametrize(
    "program",
    first_of(
        "import project.wsgi",
        (
            "from worker.celery import app, refuse_mistakes_of_worker; app.loader.import_default_modules(); "
            "refuse_mistakes_of_worker()"
        ),
    ),
)
def test_no_process_serves_with_a_simulator_by_accident(simulated: Path, program: str) -> None:
    env = {
        **os.environ,
        "DJANGO_DEBUG": "false",
        "ALIPAY_APP_ID": SIMULATOR_APP_ID,
        "ALIPAY_SELLER_ID": SIMULATOR_SELLER_ID,
        "ALIPAY_GATEWAY_URL": "http://127.0.0.1:8100/gateway.do",
        "ALIPAY_APP_PRIVATE_KEY_PATH": str(simulated / "app.pem"),
        "ALIPAY_PUBLIC_KEY_PATHS": str(simulated / "alipay.pem"),
    }
    started = f"import django; django.setup()\n{program}"
    for allowed, status in (("false", 1), ("true", 0)):
        ended = subprocess.run(
            [sys.executable, "-c", started],
            cwd=ROOT,
            env={**env, "ALLOW_SIMULATOR": allowed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == status, ended.stderr
        assert ("DEBUG is off, and ALIPAY_GATEWAY_URL is no address of Alipay's" in ended.stderr) is bool(
            status
        )


def test_tests_own_keys_are_no_simulators(alipay_settings: Settings) -> None:
    assert [message.id for message in simulator(None)] == ["payments.E015"] * 2  # the address and the ids
    assert SIMULATOR_EXPONENT == 3
