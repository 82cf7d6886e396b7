"""The shop on one machine, from nothing to a bought course. Behind `bin/demo`."""

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import httpx

from project.local import interrupts
from project.local.api_client import PurchaseError
from project.local.commands import beside, manage, run
from project.local.errors import LocalError
from project.local.options import PORTS, Options, option_of, parse
from project.local.ports import LOOPBACK, assign_ports
from project.local.postgres import PostgresServer
from project.local.programs import (
    beat_program,
    build_environment,
    flower_program,
    gateway_program,
    simulator_program,
    web_program,
    worker_program,
)
from project.local.progress import step
from project.local.purchase import buy_courses
from project.local.runner import Runner
from project.local.simulator import Merchant, prepare_simulator
from project.local.state import Secrets, State, write_private
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

READY_TIMEOUT_S = 90
# Whoever presses Ctrl-C has their prompt back within ten seconds: the programs, then the three servers, one
# after the other.
STOP_PROGRAMS_S, STOP_SERVER_S = 5.0, 1.5
BUYERS = ("buyer1", "buyer2", "buyer3")
OPERATOR = "operator"
INTERRUPTED = 130  # 128 + SIGINT, as shells tell it


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when the course was delivered and Ctrl-C then stopped the shop, else 1."""
    demo = Demo(parse(argv))
    interrupts.install()
    try:
        _require_platform()
        demo.run()
    except (LocalError, PurchaseError, httpx.HTTPError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 0 if demo.is_serving else INTERRUPTED
    return 0


class Demo:
    """`is_serving` turns true once the shop is up: Ctrl-C is then the way to end."""

    def __init__(self, options: Options) -> None:
        self.is_serving = False
        self._options = options
        self._state = State(options.state)

    def run(self) -> None:
        """Everything, in order. Leaves no process behind, however it ends."""
        state = self._state
        with ExitStack() as stack:
            stack.enter_context(state.lock())
            if self._options.reset:
                with step("Removing the state of the last run"):
                    state.reset()
            secrets = state.load_secrets()
            ports = assign_ports(PORTS, wanted=self._options.ports, option_of=option_of)

            with step("PostgreSQL"):
                postgres = PostgresServer(
                    state.folder / "postgres", secrets.database_password, preferred_port=ports["postgres"]
                )
                stack.callback(postgres.stop, STOP_SERVER_S)
                postgres.start()
            with step("Valkey"):
                valkey = ValkeyServer(
                    state.folder / "valkey", secrets.broker_password, preferred_port=ports["valkey"]
                )
                stack.callback(valkey.stop, STOP_SERVER_S)
                valkey.start()
                # Carts and checkouts have a server of their own: whoever fills it leaves the queues alone.
                store = ValkeyServer(
                    state.folder / "store", secrets.broker_password, preferred_port=ports["store"]
                )
                stack.callback(store.stop, STOP_SERVER_S)
                store.start()
            with step("Keys for Alipay's simulator"):
                merchant = prepare_simulator(state.simulator_folder)

            places = Places(ports["web"], ports["flower"], ports["simulator"], postgres, valkey, store)
            env = _environment(places, merchant, secrets)
            mail = state.folder / "mail"
            mail.mkdir(mode=0o700, exist_ok=True)
            env |= {"MAIL_FOLDER": str(mail), "REQUEST_LOG": "true"}
            env |= {"STATIC_ROOT": str(state.folder / "static"), "WHITENOISE_USE_FINDERS": "false"}
            with step("Tables, and static files with digests in their names"):
                quiet = ("--no-input", "--verbosity", "0")
                unused = ("--ignore=rest_framework", "--ignore=redoc")
                with beside(manage("collectstatic", *quiet, *unused, env=env, log_folder=state.log_folder)):
                    run(manage("migrate", *quiet, env=env, log_folder=state.log_folder))
            # No program needs the courses to start.
            runner = stack.enter_context(_make_runner(places, env, state))
            with step("Courses, coupons and buyers, and web, workers, beat, Flower, simulator"):
                with beside(manage("seed_demo", env=env, log_folder=state.log_folder)):
                    runner.start()
                _wait_until_ready(runner, places)
            write_private(state.description_path, _describe(places, secrets, runner))
            stack.callback(state.description_path.unlink, missing_ok=True)

            print("\nBuying courses, from the cart to the enrolment:")
            receipt = buy_courses(places.web_url, username=BUYERS[0], password=secrets.demo_password)
            print(
                f"Delivered {len(receipt.course_ids)} course(s) in {receipt.seconds:.2f} s, order "
                f"{receipt.order_number}."
            )
            if not self._options.once:
                print(_table(places, secrets, state), flush=True)
                self.is_serving = True
                runner.serve(shows_logs=self._options.logs)


@dataclass(frozen=True)
class Places:
    """Where everything listens."""

    web_port: int
    flower_port: int
    simulator_port: int
    postgres: PostgresServer
    valkey: ValkeyServer
    store: ValkeyServer

    @property
    def web_url(self) -> str:
        return f"http://{LOOPBACK}:{self.web_port}"

    @property
    def flower_url(self) -> str:
        return f"http://{LOOPBACK}:{self.flower_port}"

    @property
    def simulator_url(self) -> str:
        return f"http://{LOOPBACK}:{self.simulator_port}"


def _require_platform() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - somebody may start this module with another Python
        raise LocalError(f"Python 3.11 or newer is needed; this is {platform.python_version()}.")
    if sys.platform not in {"linux", "darwin"}:
        raise LocalError(
            f"There is no PostgreSQL and Valkey from wheels for {sys.platform}. Use docker-compose.yml "
            f"instead."
        )


def _environment(places: Places, merchant: Merchant, secrets: Secrets) -> dict[str, str]:
    return build_environment(
        database_url=places.postgres.url(),
        valkey_url=places.valkey.url().rsplit("/", 1)[0],
        web_port=places.web_port,
        simulator_port=places.simulator_port,
        simulator_env=merchant.environment(),
        secret_key=secrets.django_secret_key,
        demo_password=secrets.demo_password,
    ) | {
        "REDIS_URL": places.store.url(1),
        "FLOWER_BASIC_AUTH": f"{OPERATOR}:{secrets.flower_password}",
        "DESK_FLOWER_URL": places.flower_url,
    }


def _make_runner(places: Places, env: dict[str, str], state: State) -> Runner:
    # All of them count together, from zero, and the web process tells. Flower has metrics of its own.
    shutil.rmtree(state.metrics_folder, ignore_errors=True)
    counted = {"PROMETHEUS_MULTIPROC_DIR": str(state.metrics_folder)}
    programs = [
        simulator_program(places.simulator_port, state.simulator_folder),
        replace(web_program(places.web_port), env=counted),
        replace(worker_program(events=True), env=counted),  # for Flower
        replace(gateway_program(events=True), env=counted),
        replace(beat_program(), env=counted),
        flower_program(places.flower_port),
    ]
    return Runner(
        programs,
        env=env,
        log_folder=state.log_folder,
        record_folder=state.folder / "run",
        longest_stop_s=STOP_PROGRAMS_S,
    )


def _wait_until_ready(runner: Runner, places: Places) -> None:
    def is_ready() -> bool:
        runner.require_alive()
        return (
            _answers(f"{places.web_url}/readyz")
            and _answers(f"{places.simulator_url}/")
            and _answers(places.flower_url, expected=401)
        )

    if not wait_until(is_ready, timeout_s=READY_TIMEOUT_S, poll_s=0.2):
        tails = "\n".join(f"{child.log_path}:\n{child.log_tail()}" for child in runner.children.values())
        raise LocalError(f"The shop did not get ready within {READY_TIMEOUT_S} s.\n{tails}")


def _answers(url: str, *, expected: int = 200) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False, follow_redirects=True).status_code == expected
    except httpx.HTTPError:
        return False


def _describe(places: Places, secrets: Secrets, runner: Runner) -> dict[str, object]:
    password = secrets.demo_password
    return {
        "urls": {
            "storefront": f"{places.web_url}/",
            "admin": f"{places.web_url}/admin/",
            "api": f"{places.web_url}/api/v1/",
            "api_docs": f"{places.web_url}/api/docs/",
            "flower": f"{places.flower_url}/",
            "simulator": f"{places.simulator_url}/",
        },
        "logins": {
            "buyers": [{"username": name, "password": password} for name in BUYERS],
            "operator": {"username": OPERATOR, "password": password},
            "flower": {"username": OPERATOR, "password": secrets.flower_password},
        },
        "database_url": places.postgres.url(),
        "broker_url": places.valkey.url(0),
        "redis_url": places.store.url(1),
        "pids": {
            "demo": os.getpid(),
            "postgresql": places.postgres.child.pid,
            "valkey": places.valkey.child.pid,
            "store": places.store.child.pid,
            **{name: child.pid for name, child in runner.children.items()},
        },
    }


def _table(places: Places, secrets: Secrets, state: State) -> str:
    """Where everything is and how to log in.

    No line is so long that a narrow terminal would break a password.
    """
    password = secrets.demo_password
    rows = [
        ("Storefront", f"{places.web_url}/", f"{', '.join(BUYERS)} / {password}"),
        ("Admin", f"{places.web_url}/admin/", f"{OPERATOR} / {password}"),
        ("API docs", f"{places.web_url}/api/docs/", "open; log in as a buyer to try it"),
        ("Flower", f"{places.flower_url}/", f"{OPERATOR} / {secrets.flower_password}"),
        ("Alipay simulator", f"{places.simulator_url}/", "open; any account at its cashier"),
    ]
    lines = [line for name, url, login in rows for line in (f"  {name:18}{url}", f"  {'':18}{login}")]
    paths = [
        f"  {'Mail':18}{state.folder / 'mail'}",
        f"  {'For scripts':18}{state.description_path}",
        f"  {'Logs':18}{state.log_folder}",
    ]
    return "\n".join(["", *lines, *paths, "\nCtrl-C stops everything."])


if __name__ == "__main__":
    sys.exit(main())
