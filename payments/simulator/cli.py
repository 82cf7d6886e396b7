"""The command line: `init`, `keys`, `serve`."""

import argparse
import logging
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
    except (ValueError, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return result


def init(options: argparse.Namespace) -> int:
    """Makes the database and the merchant's keys; what exists stays as it is."""
    sim = Simulation(options.state)
    try:
        merchant = sim.merchants.register(options.app_id, options.seller_id)
        sys.stdout.write(f"merchant {merchant.app_id}, seller {merchant.seller_id}, keys in {merchant.keys.path}\n")
    finally:
        sim.close()
    return 0


def show_keys(options: argparse.Namespace) -> int:
    """Prints what a shop needs, in every form that shops paste."""
    sim = Simulation(options.state)
    try:
        keys = sim.merchants.get(options.app_id).keys
    finally:
        sim.close()
    for form, text in private_forms(keys).items():
        sys.stdout.write(f"# app private key, {form}\n{text.strip()}\n\n")
    for name in ("app", "alipay"):
        for form, text in public_forms(keys, name).items():
            sys.stdout.write(f"# {name} public key, {form}\n{text.strip()}\n\n")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # One line per delivery is the log's and the panel's business, not the terminal's.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sim = Simulation(options.state)
    if sim.merchants.is_empty() or options.app_id != DEFAULT_APP_ID:
        sim.merchants.register(options.app_id, options.seller_id)
    notifier = Notifier(sim)
    server = Server(options.host, options.port, create_app(sim, notifier, options.control_token))
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    notifier.start()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="server", daemon=True)
    thread.start()
    host, port = server.address
    sys.stdout.write(f"Alipay simulator on http://{host}:{port}/ (gateway http://{host}:{port}/gateway.do)\n")
    sys.stdout.flush()
    asked_to_stop.wait()
    server.stop()
    notifier.stop()
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m payments.simulator", description="A stand-in for Alipay's gateway.")
    commands = parser.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state", type=Path, required=True, help="folder of the database and the keys")
    shared.add_argument("--app-id", default=DEFAULT_APP_ID)
    merchant = argparse.ArgumentParser(add_help=False)
    merchant.add_argument("--seller-id", default=DEFAULT_SELLER_ID)
    make = commands.add_parser("init", parents=[shared, merchant], help="make the database and a merchant with keys (idempotent)")
    make.set_defaults(run=init)
    keys = commands.add_parser("keys", parents=[shared], help="print a merchant's keys in the forms that shops paste")
    keys.set_defaults(run=show_keys)
    run = commands.add_parser("serve", parents=[shared, merchant], help="run the simulator")
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", type=int, default=9000, help="0 takes a free port and prints it")
    run.add_argument("--control-token", default="", help="demand this token for the control API and the panel, and allow them from afar")
    run.add_argument("--verbose", action="store_true")
    run.set_defaults(run=serve)
    return parser
