"""The web application: gateway, cashier, control API and panel around one simulation."""

from flask import Flask

from payments.simulator import bill_download, cashier, control, gateway, panel
from payments.simulator.access import Access
from payments.simulator.notifier import Notifier
from payments.simulator.simulation import Simulation


def create_app(sim: Simulation, notifier: Notifier, control_token: str = "") -> Flask:
    """Builds the web application.

    The control API and the panel require `control_token`. If it is empty, they are open to this machine only.
    """
    app = Flask(__name__)
    app.config.update(SIMULATION=sim, NOTIFIER=notifier)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.register_blueprint(gateway.blueprint)
    app.register_blueprint(cashier.blueprint)
    app.register_blueprint(bill_download.blueprint)
    access = Access(control_token)
    for blueprint in (control.blueprint, panel.blueprint):
        app.register_blueprint(blueprint)
    access.guard(app, (control.blueprint.name, panel.blueprint.name))

    @app.get("/healthz")
    def answer_health() -> str:
        """A readiness probe without a token."""
        with sim.store.transaction():
            return "ok"

    return app
