"""The ledger: transfers, balances, and the books that money and 贝里 stand in."""

from payments.domain.upkeep.audit.rule import Rule

RULES = (
    Rule(
        "transfers_balance",
        "Each transfer leaves one book and arrives in another, both of the currency that it names: so all "
        "together add up to nothing.",
        """
        SELECT transfer.key, transfer.debit, transfer.credit, transfer.currency, transfer.amount
        FROM shop_ledgertransfer AS transfer
        WHERE transfer.debit = transfer.credit OR transfer.amount <= 0 OR EXISTS (
            SELECT FROM (VALUES (transfer.debit), (transfer.credit)) AS leg(book)
            WHERE transfer.currency IS DISTINCT FROM
                CASE WHEN leg.book IN ({Book.BEILI_ISSUED}, {Book.BEILI_AVAILABLE}, {Book.BEILI_HELD},
                    {Book.BEILI_SPENT}) THEN {Currency.BEILI} ELSE {Currency.CNY} END
        )
        """,
    ),
    Rule(
        "balances_equal_the_fold",
        "A buyer's 贝里, available and held, are what their transfers add up to.",
        """
        SELECT account.id, account.username, account.balance, account.held_balance, fold.available, fold.held
        FROM shop_account AS account
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(CASE WHEN credit = {Book.BEILI_AVAILABLE} THEN amount
                WHEN debit = {Book.BEILI_AVAILABLE} THEN -amount END), 0) AS available,
                   coalesce(sum(CASE WHEN credit = {Book.BEILI_HELD} THEN amount
                       WHEN debit = {Book.BEILI_HELD} THEN -amount END), 0) AS held
            FROM shop_ledgertransfer WHERE account_id = account.id
        ) AS fold ON true WHERE account.balance <> fold.available OR account.held_balance <> fold.held
        """,
    ),
    Rule(
        "held_beili_belong_to_orders",
        "What a buyer's orders hold is what is held.",
        """
        SELECT account.id, account.username, account.held_balance,
            coalesce(sum(orders.beili), 0) AS held_by_orders FROM shop_account AS account
        LEFT JOIN shop_order AS orders ON orders.account_id = account.id
            AND orders.status = {OrderStatus.AWAITING_PAYMENT}
        GROUP BY account.id HAVING account.held_balance <> coalesce(sum(orders.beili), 0)
        """,
    ),
    Rule(
        "money_has_a_place",
        "Every yuan that came in is on an order, has gone back, or is on its way back.",
        """
        SELECT book.unapplied, due.going_back FROM (
            SELECT coalesce(sum(CASE WHEN credit = {Book.UNAPPLIED} THEN amount WHEN debit = {Book.UNAPPLIED}
                THEN -amount ELSE 0 END), 0) AS unapplied
            FROM shop_ledgertransfer
        ) AS book, (
            SELECT coalesce(sum(payment.amount - coalesce(gone.amount, 0)), 0) AS going_back
            FROM payments_payment AS payment
            LEFT JOIN LATERAL (
                SELECT sum(amount) AS amount FROM payments_refund
                WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) AS gone ON true
            WHERE payment.paid_at IS NOT NULL
                AND (payment.is_surplus OR payment.status = {PaymentStatus.CLOSED})
        ) AS due WHERE book.unapplied <> due.going_back
        """,
    ),
    Rule(
        "payments_are_booked",
        "Each payment whose money came is booked once with its amount, and nothing else is.",
        """
        SELECT payment.out_trade_no, payment.amount, transfer.amount AS booked
        FROM payments_payment AS payment
        LEFT JOIN shop_ledgertransfer AS transfer ON transfer.key = 'cash:' || payment.out_trade_no
        WHERE (payment.paid_at IS NOT NULL) <> (transfer.id IS NOT NULL) OR transfer.amount <> payment.amount
        """,
    ),
    Rule(
        "sales_equal_orders",
        "What is booked as sales is the list price of paid orders, less what refunds undid of their lines.",
        """
        SELECT orders.order_number, book.sales, due.sales AS expected FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(CASE WHEN credit = {Book.SALES} THEN amount WHEN debit = {Book.SALES}
                THEN -amount ELSE 0 END), 0) AS sales
            FROM shop_ledgertransfer WHERE order_id = orders.id
        ) AS book ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(line.list_price - coalesce(
                line.course_discount + line.global_discount + refunded.cash_amount + refunded.beili_amount, 0
            )), 0) AS sales
            FROM shop_orderline AS line LEFT JOIN (
                payments_refundline AS refunded JOIN payments_refund AS done
                    ON done.id = refunded.refund_id
                    AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) ON refunded.order_line_id = line.id
            WHERE line.order_id = orders.id AND orders.paid_at IS NOT NULL
        ) AS due ON true
        WHERE book.sales <> due.sales
        """,
    ),
    Rule(
        "external_refunds_are_explained",
        "What external refunds are still to be explained is what stands in their book, for each order.",
        """
        SELECT orders.order_number, coalesce(book.open, 0) AS open,
            coalesce(due.unexplained, 0) AS unexplained
        FROM (
            SELECT order_id,
                sum(CASE WHEN debit = {Book.EXTERNAL_REFUNDS} THEN amount ELSE -amount END) AS open
            FROM shop_ledgertransfer WHERE {Book.EXTERNAL_REFUNDS} IN (debit, credit) GROUP BY order_id
        ) AS book
        FULL JOIN (
            SELECT order_id, sum(amount) AS unexplained FROM payments_refund
            WHERE kind = {RefundKind.EXTERNAL} AND status = {RefundStatus.SUCCEEDED} AND explanation = ''
            GROUP BY order_id
        ) AS due USING (order_id)
        JOIN shop_order AS orders ON orders.id = order_id
        WHERE coalesce(book.open, 0) <> coalesce(due.unexplained, 0)
        """,
    ),
)
