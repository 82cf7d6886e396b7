"""The call that returns a bill's download link."""

import secrets
import time
from typing import Any
from urllib.parse import urlencode

from payments.simulator.bills import ACCOUNT_SUFFIX, Period, list_bill_rows, parse_period
from payments.simulator.errors import business_error
from payments.simulator.fields import require_text
from payments.simulator.protocol import GatewayRequest
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database


def query_bill_link(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    """Only the business bill (`trade`): there was no sample of a funds bill (`signcustomer`) to copy."""
    bill_type, bill_date = require_text(request.biz, "bill_type"), require_text(request.biz, "bill_date")
    if bill_type != "trade":
        raise business_error("TYPE_NOT_SUPPORTED")
    period = _require_ready(sim, request, bill_date)
    if sim.settings.empty_bill == "error" and not list_bill_rows(sim, db, request.merchant.app_id, period):
        raise business_error("NO_BILL_DATA")
    token = secrets.token_hex(16)
    # Links expire in real time, since downloads take real seconds however fast the virtual clock runs.
    db.insert(
        "bill_link",
        token=token,
        app_id=request.merchant.app_id,
        bill_type=bill_type,
        bill_date=bill_date,
        real_at=time.time(),
    )
    account = request.merchant.seller_id + ACCOUNT_SUFFIX
    query = {
        "bizType": bill_type,
        "userId": account,
        "fileType": "csv.zip",
        "bizDates": period.label,
        "downloadFileName": f"{account}_{period.label}.csv.zip",
        "fileId": f"/{bill_type}/{account}/{period.label}.csv.zip",
        "timestamp": str(int(time.time() * 1000)),
        "token": token,
    }
    return {"bill_download_url": f"{request.base_url}/downloadBillFile.resource?{urlencode(query)}"}


def _require_ready(sim: Simulation, request: GatewayRequest, bill_date: str) -> Period:
    period = parse_period(bill_date)
    now = sim.now()
    if period is None or period.start.timestamp() > now:
        raise business_error("INVAILID_ARGUMENTS", "：bill_date")
    if period.end.timestamp() <= request.merchant.registered_at:
        raise business_error("BILL_DATE_BEFORE_REGISTRATION")
    if sim.settings.bill_ready == "next_day" and now < period.ready_at:
        raise business_error("BILL_NOT_EXIST")
    return period
