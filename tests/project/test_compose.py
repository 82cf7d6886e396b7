"""docker-compose.yml and the Dockerfile, as far as reading them can check.

`bin/compose-test` runs them.
"""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from project.local.programs import SERVER_ENVIRONMENT, SERVER_OPTIONS
from project.local.state import ROOT
from worker.policy import DATABASE_QUEUES, GATEWAY_QUEUES

TEXT = (ROOT / "docker-compose.yml").read_text()
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
ONE_SHOTS = {"migrate", "seed"}
VALKEYS = {"redis", "store"}
WATCHERS = {"prometheus", "grafana"}
OURS = sorted(set(SERVICES) - {"db", "proxy"} - VALKEYS - WATCHERS)
EXAMPLE = (ROOT / ".env.example").read_text()
EXAMPLE_NAMES = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def argv(name: str) -> list[str]:
    command = SERVICES[name]["command"]
    return command.split() if isinstance(command, str) else command


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_says_how_it_ends(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] in ({"no", "on-failure:5"} if name in ONE_SHOTS else {"unless-stopped"})
    assert ("test" in service["healthcheck"]) is (name not in ONE_SHOTS)
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert int(service["stop_grace_period"].removesuffix("s")) >= 60


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "network_mode" not in service
    # Giving the volume to the server's user, switching to that user, and listening on 443.
    needed = {**{valkey: ["CHOWN", "SETGID", "SETUID"] for valkey in VALKEYS}, "proxy": ["NET_BIND_SERVICE"]}
    assert service.get("cap_add", []) == needed.get(name, [])


def test_no_secret_is_written_down() -> None:
    for name, value in environment_values():
        if re.search(r"PASSWORD|SECRET|TOKEN|AUTH|_URL$|KEY", name) and value is not None:
            assert value.startswith("${"), f"{name} is a literal"
    assert not re.search(r"://[^$\s/]+:[^$\s/]+@", TEXT)


def test_a_missing_secret_stops_the_start() -> None:
    for name in (
        "DJANGO_SECRET_KEY",
        "POSTGRES_PASSWORD",
        "OWNER_PASSWORD",
        "SHOP_PASSWORD",
        "REDIS_PASSWORD",
        "DATABASE_URL",
        "CELERY_BROKER_URL",
        "FLOWER_BASIC_AUTH",
    ):
        uses = re.findall(r"\$\{" + name + r"\b([^}]*)\}", TEXT)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", TEXT)) | {
        name for name, value in environment_values() if value is None
    }
    assert used - EXAMPLE_NAMES == set()


def test_every_setting_reaches_the_containers() -> None:
    """Every variable of .env.example that the settings read is passed on, except those that only make sense
    elsewhere.
    """
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', (ROOT / "project" / "settings.py").read_text()))
    elsewhere = {"DJANGO_DEBUG", "STATIC_ROOT", "WHITENOISE_USE_FINDERS", "ALIVE_FILE", "METRICS_LISTEN"}
    assert read - elsewhere - set(STACK["x-environment"]) == set()
    assert read - EXAMPLE_NAMES == set()


def test_only_the_documented_ports_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "web": ["${WEB_BIND:-127.0.0.1}:${WEB_PORT:-8000}:8000"],
        "flower": ["${FLOWER_BIND:-127.0.0.1}:${FLOWER_PORT:-5555}:5555"],
        "simulator": ["${SIMULATOR_BIND:-127.0.0.1}:${SIMULATOR_PORT:-8100}:8100"],
        "proxy": ["80:80", "443:443"],
        "prometheus": ["${PROMETHEUS_BIND:-127.0.0.1}:${PROMETHEUS_PORT:-9090}:9090"],
        "grafana": ["${GRAFANA_BIND:-127.0.0.1}:${GRAFANA_PORT:-3000}:3000"],
    }


def test_the_servers_are_in_a_network_without_a_way_out() -> None:
    assert STACK["networks"]["inside"] == {"internal": True}
    assert {tuple(SERVICES[name]["networks"]) for name in ("db", *VALKEYS)} == {("inside",)}
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"web", "gateway", "beat", "flower", "simulator", "proxy", *WATCHERS}


def test_the_workers_consume_every_queue_and_only_gateway_workers_wait_for_alipay() -> None:
    consumed = {
        name: (words := argv(name))[words.index("--queues") + 1].split(",") for name in ("worker", "gateway")
    }
    assert consumed == {"worker": list(DATABASE_QUEUES), "gateway": list(GATEWAY_QUEUES)}


def test_nothing_starts_before_what_it_needs() -> None:
    for name in ("web", "worker", "gateway", "beat", "flower"):
        assert SERVICES[name]["depends_on"] == {
            "db": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
            "store": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }


def test_only_services_that_sign_or_verify_have_keys() -> None:
    """Workers refuse to start without key files; beat and Flower need none."""
    holders = {
        name
        for name, service in SERVICES.items()
        if any(volume.endswith(":/run/alipay:ro") for volume in service.get("volumes", []))
    }
    assert holders == {"web", "worker", "gateway"}


def test_the_simulator_is_for_demonstrations_only() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]} == {
        "simulator",
        "seed",
    }
    assert all(SERVICES[name]["profiles"] == ["demo"] for name in ("simulator", "seed"))
    for name in OURS:
        assert "simulator" not in SERVICES[name].get("depends_on", {}) or name == "seed"


@pytest.mark.parametrize("name", sorted(VALKEYS))
def test_valkey_keeps_what_it_is_given(name: str) -> None:
    configuration = argv(name)[-1]
    for line in (
        "umask 077",
        "maxmemory $$MAXMEMORY",
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        "requirepass $$REDIS_PASSWORD",
    ):
        assert line in configuration


def test_carts_and_queues_have_servers_of_their_own() -> None:
    assert {SERVICES[name]["volumes"][0] for name in VALKEYS} == {"redis:/data", "store:/data"}
    limits = {SERVICES[name]["environment"]["MAXMEMORY"] for name in VALKEYS}
    assert limits == {"${REDIS_MAXMEMORY:-256mb}", "${STORE_MAXMEMORY:-256mb}"}


def test_only_migrations_own_the_tables() -> None:
    owners = {
        name
        for name in OURS
        if "OWNER_DATABASE_URL" in str(SERVICES[name].get("environment", {}).get("DATABASE_URL"))
    }
    assert owners == {"migrate"}
    assert "POSTGRES_USER" not in SERVICES["db"]["environment"]  # the superuser doesn't have the shop's name


def test_web_is_started_as_everywhere_else() -> None:
    words = argv("web")
    assert words[words.index("--http") :] == list(SERVER_OPTIONS)
    command = re.search(r"^CMD (\[.*?\])", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)
    assert command is not None
    words = json.loads(command[1])
    assert words[words.index("--http") :] == list(SERVER_OPTIONS)


def test_a_web_process_that_hangs_is_replaced() -> None:
    assert SERVICES["web"]["healthcheck"]["test"][-2:] == ["--end-unless", "8000/healthz"]
    assert SERVICES["web"]["restart"] == "unless-stopped"
    threads = int(SERVER_ENVIRONMENT["GRANIAN_BLOCKING_THREADS"])
    assert f"GRANIAN_BLOCKING_THREADS={threads}" in DOCKERFILE
    assert SERVICES["web"]["pids_limit"] > 2 * threads


def test_the_proxy_is_the_shipped_one() -> None:
    proxy = SERVICES["proxy"]
    assert proxy["profiles"] == ["proxy"]
    assert "./deploy/Caddyfile:/etc/caddy/Caddyfile:ro" in proxy["volumes"]
    used = set(re.findall(r"\{\$([A-Z_]+)", (ROOT / "deploy" / "Caddyfile").read_text()))
    assert used - set(proxy["environment"]) == {"SHOP_HTTP_PORT"}


def test_prometheus_finds_every_service_that_counts() -> None:
    """By name, at their addresses: web at its port, the others at METRICS_LISTEN."""
    configuration = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    found = {
        job["job_name"]: (search["names"], search["port"])
        for job in configuration["scrape_configs"]
        for search in job["dns_sd_configs"]
    }
    listen = {
        int(service["environment"]["METRICS_LISTEN"].rpartition(":")[2])
        for service in SERVICES.values()
        if "METRICS_LISTEN" in service.get("environment", {})
    }
    assert found == {
        "web": (["web"], 8000),
        **{name: ([name], *listen) for name in ("worker", "gateway", "beat")},
    }
    for name in found:
        assert "inside" in SERVICES[name]["networks"]
        # The folder of the counters belongs to one container and is empty when it starts.
        assert SERVICES[name]["tmpfs"] == ["/tmp"]
        assert SERVICES[name]["environment"]["PROMETHEUS_MULTIPROC_DIR"] == "/tmp/metrics"
    assert "inside" in SERVICES["prometheus"]["networks"]


def test_the_watchers_are_optional_and_run_what_is_shipped() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["metrics"]} == WATCHERS
    assert "./deploy/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    shipped = [
        volume.split(":")[0]
        for name in WATCHERS
        for volume in SERVICES[name]["volumes"]
        if volume.startswith("./")
    ]
    assert all((ROOT / path).exists() for path in shipped)
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/shop.yml").read_text())[
        "providers"
    ]
    assert any(
        volume.split(":")[1].startswith(provider["options"]["path"])
        for volume in SERVICES["grafana"]["volumes"]
    )


@pytest.mark.parametrize("password", ["", "long-and-random"])
def test_grafana_starts_with_a_password_only(password: str) -> None:
    program, *options = [
        word.replace("$$", "$").replace("/run.sh", "true") for word in SERVICES["grafana"]["entrypoint"]
    ]
    environment = {"GF_SECURITY_ADMIN_PASSWORD": password, "PATH": "/usr/bin:/bin"}
    ended = subprocess.run([program, *options], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, "GRAFANA_PASSWORD is missing" in ended.stderr) == (
        (0, False) if password else (1, True)
    )


def test_the_image_runs_as_an_unprivileged_user() -> None:
    runtime, *images = DOCKERFILE.split("\nFROM ")[2:]
    assert runtime.splitlines()[0].endswith(" AS runtime")
    assert re.findall(r"^USER (.+)$", runtime, re.MULTILINE) == ["shop"]
    assert "useradd --uid 10001" in runtime
    assert [image.split()[0] for image in images] == ["runtime", "runtime"]
    assert not re.search(r"^USER", "".join(images), re.MULTILINE)
    assert not re.search(r"apt-get|gcc|build-essential", DOCKERFILE)
    assert all("user" not in SERVICES[name] for name in OURS)


def test_the_simulator_isnt_in_the_live_image() -> None:
    build, *_, live = DOCKERFILE.split("\nFROM ")[1:]
    assert "rm -r /srv-live/shop/payments/simulator" in build
    assert re.findall(r"^COPY .+$", live, re.MULTILINE) == ["COPY --from=build /srv-live /srv"]
    assert {name for name in OURS if SERVICES[name]["build"].get("target") == "demo"} == {"simulator"}
    assert {SERVICES[name]["image"] for name in OURS if name != "simulator"} == {"${SHOP_IMAGE:-course-shop}"}


def test_only_named_folders_go_into_the_image() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "**"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert kept == {"manage.py", "requirements.txt", "payments", "project", "shop", "worker"}


def test_the_image_installs_what_is_locked_and_only_by_hash() -> None:
    assert re.findall(r"requirements\S*", DOCKERFILE) == ["requirements.txt"] * 2
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.parametrize("arguments", [[], ["--live", "https://shop.example.com"]])
def test_compose_env_writes_all_that_must_be_there(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "env"
    run_compose_env("--output", str(path), *arguments)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in path.read_text().splitlines() if not line.startswith("#"))
    demanded = set(re.findall(r"\$\{([A-Z0-9_]+):\?", TEXT))
    assert all(values.get(name) for name in demanded)
    assert set(values) <= EXAMPLE_NAMES | {"COMPOSE_PROFILES"}
    assert (
        "ALIPAY_GATEWAY_URL",
        "https://openapi.alipay.com/gateway.do" if arguments else "http://simulator:8100/gateway.do",
    ) in values.items()
    assert not re.search(r"[$'\"\s]", "".join(values.values()))  # both Composes read these values alike


def test_compose_env_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "env"
    run_compose_env("--output", str(path))
    before = path.read_text()
    assert run_compose_env("--output", str(path), check=False) == 1
    assert path.read_text() == before


def environment_values() -> list[tuple[str, str | None]]:
    return [item for service in SERVICES.values() for item in service.get("environment", {}).items()]


def run_compose_env(*arguments: str, check: bool = True) -> int:
    ended = subprocess.run(
        [sys.executable, ROOT / "bin" / "compose-env", *arguments], capture_output=True, check=check
    )
    return ended.returncode
