"""The parameters of the buyer's return to the shop."""

from payments.simulator.money import format_yuan
from payments.simulator.protocol import CHARSETS
from payments.simulator.signing import form_content, sign
from payments.simulator.simulation import Simulation
from payments.simulator.store import Row
from payments.simulator.times import format_time

RETURN_METHODS = {
    "page": "alipay.trade.page.pay.return",
    "wap": "alipay.trade.wap.pay.return",
    "app": "alipay.trade.app.pay.return",
}


def return_fields(sim: Simulation, session: Row, trade: Row) -> dict[str, str]:
    """The twelve parameters in Alipay's order.

    The trade's status isn't among them: they prove no payment.
    """
    fields = {
        "charset": session["charset"],
        "out_trade_no": trade["out_trade_no"],
        "method": RETURN_METHODS.get(session["product"], RETURN_METHODS["page"]),
        "total_amount": format_yuan(trade["total_fen"]),
        "sign": "",
        "trade_no": trade["trade_no"],
        "auth_app_id": trade["app_id"],
        "version": "1.0",
        "app_id": trade["app_id"],
        "sign_type": "RSA2",
        "seller_id": trade["seller_id"],
        "timestamp": format_time(sim.now()),
    }
    key = sim.merchants.get(trade["app_id"]).keys.alipay_private
    fields["sign"] = sign(
        key, form_content(fields), charset=CHARSETS.get(session["charset"].lower(), "utf-8")
    )
    return fields
