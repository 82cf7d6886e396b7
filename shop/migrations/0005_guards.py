"""States move along their tables, what was agreed stays, and money and counters move with the rows that they sum up."""

from django.db import migrations

from shop import states
from shop.models.triggers import REFUSE, allow_moves, derive, freeze, only_rise, refuse_truncate

# One statement for all rows of an INSERT. Whoever writes transfers holds the locks of their accounts.
_MOVE_BALANCES = """
CREATE FUNCTION shop_move_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop_account AS account SET balance = balance + moved.available, held_balance = held_balance + moved.held
    FROM (
        SELECT account_id,
            sum(CASE 'beili_available' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS available,
            sum(CASE 'beili_held' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS held
        FROM written WHERE currency = 'BEILI' GROUP BY account_id
    ) AS moved
    WHERE account.id = moved.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER moves_balances AFTER INSERT ON shop_ledgertransfer REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION shop_move_balances();
"""
_KEEP_BALANCES = "DROP TRIGGER moves_balances ON shop_ledgertransfer; DROP FUNCTION shop_move_balances()"

_COUNT_CLAIMS = """
CREATE FUNCTION shop_count_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop_coupon AS coupon SET claimed_count = claimed_count + claimed.records
    FROM (SELECT coupon_id, count(*) AS records FROM written GROUP BY coupon_id) AS claimed
    WHERE coupon.id = claimed.coupon_id;
    RETURN NULL;
END $$;
CREATE TRIGGER counts_claims AFTER INSERT ON shop_couponrecord REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION shop_count_claims();
"""
_KEEP_CLAIMS = "DROP TRIGGER counts_claims ON shop_couponrecord; DROP FUNCTION shop_count_claims()"


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_currency_of_transfers")]

    operations = [
        REFUSE,
        allow_moves("shop_orderrequest", states.ORDER_REQUEST_MOVES),
        allow_moves("shop_order", states.ORDER_MOVES),
        allow_moves("shop_couponrecord", states.COUPON_RECORD_MOVES),
        allow_moves("shop_enrolment", states.ENROLMENT_MOVES),
        freeze("shop_orderrequest", "account_id", "order_number", "idempotency_key", "fingerprint", "created_at"),
        freeze(
            "shop_order", "request_id", "account_id", "order_number", "payment_type", "list_total", "course_discount", "global_discount",
            "global_coupon_record_id", "beili", "beili_per_yuan", "beili_amount", "cash_due", "created_at",
        ),
        freeze(
            "shop_orderline", "order_id", "course_id", "valid_period", "list_price", "coupon_record_id", "course_discount",
            "global_discount", "beili_amount", "cash_amount",
        ),
        freeze("shop_couponrecord", "coupon_id", "number", "claimed_at"),
        freeze("shop_enrolment", "account_id", "course_id", "order_line_id", "created_at"),
        only_rise("shop_order", "version", "refunded_amount", "refunded_beili"),
        migrations.RunSQL(_MOVE_BALANCES, _KEEP_BALANCES),
        *derive("shop_account", "balance", "held_balance", source="shop_ledgertransfer"),
        migrations.RunSQL(_COUNT_CLAIMS, _KEEP_CLAIMS),
        *derive("shop_coupon", "claimed_count", source="shop_couponrecord"),
        refuse_truncate("shop_ledgertransfer"),
        refuse_truncate("shop_orderevent"),
    ]  # fmt: skip
