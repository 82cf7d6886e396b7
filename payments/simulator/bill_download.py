"""The download behind a bill's link."""

import time

from flask import Blueprint, Response, current_app, request

from payments.simulator.bills import build_zip, distort, list_bill_rows, parse_period
from payments.simulator.simulation import Simulation

blueprint = Blueprint("bills", __name__)


@blueprint.get("/downloadBillFile.resource")
def download_bill() -> Response:
    """The zip file, while the link is valid."""
    sim: Simulation = current_app.config["SIMULATION"]
    with sim.store.transaction() as db:
        link = db.find("SELECT * FROM bill_link WHERE token = ?", request.args.get("token", ""))
        period = parse_period(link["bill_date"]) if link is not None else None
        if link is None or period is None or time.time() - link["real_at"] > sim.settings.bill_link_real_s:
            return Response("下载链接已失效", status=403, content_type="text/plain;charset=utf-8")
        rows = distort(sim, link["app_id"], list_bill_rows(sim, db, link["app_id"], period), period)
    merchant = sim.merchants.get(link["app_id"])
    name = f"{merchant.seller_id}_{period.label}.csv.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(
        build_zip(merchant, period, rows, sim.now()), content_type="application/zip", headers=headers
    )
