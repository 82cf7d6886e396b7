"""The floor: what PostgreSQL itself needs for one order's rows, without any Python, by pgbench with prepared statements."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence

from bench.figures import Sample
from bench.scenarios.orders import seed_buyers
from bench.size import Size
from bench.stage import Stage
from bench.tables import insert_statement
from bench.world import BEILI, Buyer, Connection, unit_quote
from project.local.errors import LocalError
from project.local.ports import LOOPBACK
from project.local.postgres import DATABASE, ROLE, find_installation

CLIENTS = 4
_TPS = re.compile(r"tps = ([\d.]+)")


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """4 connections; each transaction is one order: the request in a commit of its own, then everything else in another."""
    per_client = size.floor_orders // CLIENTS
    buyers = seed_buyers(stage, per_client * CLIENTS)
    with stage.connect() as connection:
        script = stage.folder / "floor.sql"
        script.write_text(_script(connection, buyers, per_client=per_client))
    command = [
        str(find_installation() / "bin" / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1",
        f"--transactions={per_client}", "--define=done=0", f"--file={script}", f"--host={LOOPBACK}", f"--port={stage.postgres.port}",
        f"--username={ROLE}", DATABASE,
    ]  # fmt: skip
    env = {**os.environ, "PGPASSWORD": stage.postgres.password}
    with stage.measured() as measured:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    tps = _TPS.search(ended.stdout)
    if ended.returncode != 0 or tps is None:
        raise LocalError(f"pgbench failed:\n{ended.stdout}{ended.stderr}")
    yield Sample("floor", len(buyers), measured.window, figures={"per_s": float(tps[1])})


def _script(connection: Connection, buyers: Sequence[Buyer], *, per_client: int) -> str:
    """`:n` is the number of the buyer, whose ids follow from it."""
    first, quote = buyers[0], unit_quote()
    request = {
        "id": ":request_id",
        "account_id": ":account_id",
        "order_number": "'F' || :request_id",
        "idempotency_key": "'floor'",
        "fingerprint": "repeat('0', 64)",
        "body": """'{"lines": [[1, 1, 1], [2, 2, null]], "coupon_record_id": 2, "beili": 30, "alipay": "310.20"}'""",
        "status": "'pending'",
        "available_at": "NULL",  # the worker must leave it alone
    }
    order = {
        "id": ":request_id",
        "request_id": ":request_id",
        "account_id": ":account_id",
        "order_number": "'F' || :request_id",
        "status": "'awaiting_payment'",
        "payment_type": "1",
        "list_total": str(quote.list_total),
        "course_discount": str(quote.course_discount),
        "global_discount": str(quote.global_discount),
        "global_coupon_record_id": ":coupon_id + 1",
        "beili": str(BEILI),
        "beili_per_yuan": "1",
        "beili_amount": str(quote.beili_amount),
        "cash_due": str(quote.cash_due),
        "available_at": "now() + interval '32 minutes'",
        "version": "1",
    }
    lines = [
        {
            "order_id": ":request_id",
            "course_id": str(course),
            "policy_id": str(course),
            "course_name": f"'课程 {course}'",
            "course_img": "'/static/shop/covers/01.svg'",
            "valid_period": "30",
            "valid_period_display": "'1个月'",
            "list_price": str(line.list_price),
            "coupon_record_id": ":coupon_id" if course == 1 else "NULL",
            "course_discount": str(line.course_discount),
            "global_discount": str(line.global_discount),
            "beili_amount": str(line.beili_amount),
            "cash_amount": str(line.cash_amount),
        }
        for course, line in enumerate(quote.lines, start=1)
    ]
    hold = {
        "key": "'hold-F' || :request_id",
        "debit": "'beili_available'",
        "credit": "'beili_held'",
        "currency": "'BEILI'",
        "amount": str(BEILI),
        "account_id": ":account_id",
        "order_id": ":request_id",
    }
    events = [{"order_id": ":request_id", "kind": f"'{kind}'"} for kind in ("placed", "coupons_reserved", "beili_held")]
    # Negative, so that they never meet those of the shop's own sequences.
    variables = [
        f"\\set n :client_id * {per_client} + :done",
        f"\\set account_id {first.account_id} + :n",
        f"\\set coupon_id {first.course_coupon_id} + 2 * :n",
        "\\set request_id 0 - :account_id",
        "\\set done :done + 1",
    ]
    statements = [
        insert_statement(connection, "shop_orderrequest", request),
        "BEGIN",
        "SELECT balance FROM shop_account WHERE id = :account_id FOR NO KEY UPDATE",
        "SELECT id FROM shop_couponrecord WHERE id IN (:coupon_id, :coupon_id + 1) ORDER BY id FOR NO KEY UPDATE",
        insert_statement(connection, "shop_order", order),
        *(insert_statement(connection, "shop_orderline", line) for line in lines),
        "UPDATE shop_couponrecord SET status = 'reserved', order_id = :request_id WHERE id IN (:coupon_id, :coupon_id + 1)",
        insert_statement(connection, "shop_ledgertransfer", hold),
        *(insert_statement(connection, "shop_orderevent", entry) for entry in events),
        "UPDATE shop_orderrequest SET status = 'created', decided_at = now() WHERE id = :request_id",
        "COMMIT",
    ]
    return "\n".join([*variables, *(f"{statement};" for statement in statements)]) + "\n"
