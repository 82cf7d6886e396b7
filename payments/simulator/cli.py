"""The command line: `init`, `keys`, `serve`."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from payments.simulator.app import create_app
from payments.simulator.keys import private_forms, public_forms
from payments.simulator.merchants import DEFAULT_APP_ID, DEFAULT_SELLER_ID
from payments.simulator.notifier import Notifier
from payments.simulator.server import Server
from payments.simulator.simulation import Simulation


def main(arguments: list[str] | None = None) -> int:
    options = _build_parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except (ValueError, LookupError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return result


def init(options: argparse.Namespace) -> int:
    """Creates the database and the merchant's keys, if they don't exist."""
    sim = Simulation(options.state)
    try:
        merchant = sim.merchants.register(options.app_id, options.seller_id)
        sys.stdout.write(
            f"merchant {merchant.app_id}, seller {merchant.seller_id}, keys in {merchant.keys.path}\n"
        )
    finally:
        sim.close()
    return 0


def show_keys(options: argparse.Namespace) -> int:
    """Prints the keys that a shop needs, in every format."""
    sim = Simulation(options.state)
    try:
        keys = sim.merchants.get(options.app_id).keys
    finally:
        sim.close()
    forms = {f"app private key, {form}": text for form, text in private_forms(keys).items()}
    for name in ("app", "alipay"):
        forms |= {f"{name} public key, {form}": text for form, text in public_forms(keys, name).items()}
    if options.only:
        chosen = next((text for title, text in forms.items() if title == options.only), None)
        if chosen is None:
            raise ValueError(f"no such key: {options.only}; there are: {'; '.join(forms)}")
        sys.stdout.write(f"{chosen.strip()}\n")
    else:
        sys.stdout.writelines(f"# {title}\n{text.strip()}\n\n" for title, text in forms.items())
    return 0


def serve(options: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    # httpx logs a line for each delivery; the control API and the panel list them anyway.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sim = Simulation(options.state)
    sim.merchants.register(options.app_id, options.seller_id)
    notifier = Notifier(sim)
    try:
        server = Server(options.host, options.port, create_app(sim, notifier, options.control_token))
    except OSError:
        sim.close()
        raise
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    notifier.start()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="server", daemon=True
    )
    thread.start()
    host, port = server.address
    sys.stdout.write(f"Alipay simulator on http://{host}:{port}/ (gateway http://{host}:{port}/gateway.do)\n")
    sys.stdout.flush()
    asked_to_stop.wait()
    server.stop()
    notifier.stop()
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m payments.simulator", description="A stand-in for Alipay's gateway."
    )
    commands = parser.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state", type=Path, required=True, help="folder of the database and the keys")
    shared.add_argument("--app-id", default=DEFAULT_APP_ID)
    merchant = argparse.ArgumentParser(add_help=False)
    merchant.add_argument(
        "--seller-id",
        default="",
        help=f"default: {DEFAULT_SELLER_ID} for a new merchant, unchanged for an existing one",
    )
    make = commands.add_parser(
        "init", parents=[shared, merchant], help="create the database and a merchant with keys (idempotent)"
    )
    make.set_defaults(run=init)
    keys = commands.add_parser("keys", parents=[shared], help="print a merchant's keys in every format")
    keys.add_argument(
        "--only",
        default="",
        metavar="TITLE",
        help='one key without its title, such as "alipay public key, bare"',
    )
    keys.set_defaults(run=show_keys)
    run = commands.add_parser("serve", parents=[shared, merchant], help="run the simulator")
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", type=int, default=9000, help="0 picks a free port and prints it")
    run.add_argument(
        "--control-token",
        default=os.environ.get("SIMULATOR_CONTROL_TOKEN", ""),
        help=(
            "require this token for the control API and the panel, and open them to other machines (or "
            "SIMULATOR_CONTROL_TOKEN)"
        ),
    )
    run.add_argument("--verbose", action="store_true")
    run.set_defaults(run=serve)
    return parser
