"""Work that the gateway rejects at the door again and again, because our key, our app or our contract isn't
what it knows. People have to fix that.
"""

from payments.models import Bill, Payment, Refund
from shop.domain import sql
from shop.domain.work import due_rows
from shop.models import Order

# So many tries in a row are no accident; with the backoff that is after half a minute.
TRIES = 4
# More than this is enough to know.
MAX_ROWS = 1000
_TURNED_AWAY = """
    SELECT count(*) FROM (
        SELECT FROM {table} WHERE available_at IS NOT NULL AND LEAST(attempts, 1) = 1
            AND attempts >= %(tries)s
            AND last_error ~ '^(GatewayUnsigned|GatewayRejected: (?!(ACQ|AQC)\\.|TRADE_|NO_BILL_|BILL_))'
        LIMIT %(most)s
    ) AS turned_away
"""


def count_turned_away() -> int:
    """How many rows there are, as far as counting makes sense."""
    found = (
        sql.read(_TURNED_AWAY.format(table=due_rows.table_of(model)), {"tries": TRIES, "most": MAX_ROWS})
        for model in (Payment, Order, Refund, Bill)
    )
    return sum(count for ((count,),) in found)
