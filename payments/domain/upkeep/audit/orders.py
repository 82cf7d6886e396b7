"""Orders: their requests, their amounts, and the coupons on them."""

from payments.domain.upkeep.audit.rule import Rule

RULES = (
    Rule(
        "requests_decided_once",
        "A request that was created has its order, and no other has one.",
        """
        SELECT request.order_number, request.status, orders.id AS order_id FROM shop_orderrequest AS request
        LEFT JOIN shop_order AS orders ON orders.request_id = request.id
        WHERE (request.status = {OrderRequestStatus.CREATED}) <> (orders.id IS NOT NULL)
            OR orders.order_number <> request.order_number
        """,
    ),
    Rule(
        "keys_make_one_order",
        "One idempotency key of a buyer makes one order at most, and so does one checkout; an order is its "
        "request's buyer's.",
        """
        SELECT request.account_id, request.idempotency_key AS what, array_agg(orders.order_number) AS orders
        FROM shop_orderrequest AS request
        JOIN shop_order AS orders ON orders.request_id = request.id
        GROUP BY request.account_id, request.idempotency_key HAVING count(*) > 1
            OR bool_or(orders.account_id <> request.account_id)
        UNION ALL
        SELECT request.account_id, request.checkout_id, array_agg(orders.order_number)
        FROM shop_orderrequest AS request
        JOIN shop_order AS orders ON orders.request_id = request.id WHERE request.checkout_id IS NOT NULL
        GROUP BY request.account_id, request.checkout_id HAVING count(*) > 1
        """,
    ),
    Rule(
        "orders_add_up",
        "List price = discounts + 贝里 + cash, on every order, and its lines add up to it in every part.",
        """
        SELECT orders.order_number, orders.list_total, orders.cash_due, line.list_price, line.cash_amount
        FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT sum(list_price) AS list_price, sum(course_discount) AS course_discount,
                sum(global_discount) AS global_discount,
                   sum(beili_amount) AS beili_amount, sum(cash_amount) AS cash_amount FROM shop_orderline
                   WHERE order_id = orders.id
        ) AS line ON true
        WHERE orders.list_total <> orders.course_discount + orders.global_discount + orders.beili_amount
            + orders.cash_due
           OR (orders.list_total, orders.course_discount, orders.global_discount, orders.beili_amount,
               orders.cash_due)
              IS DISTINCT FROM (line.list_price, line.course_discount, line.global_discount,
                  line.beili_amount, line.cash_amount)
        """,
    ),
    Rule(
        "coupons_once",
        "A coupon is on at most one order that is alive, and that order is the one it names.",
        """
        SELECT record.id, record.status, record.order_id, array_agg(orders.order_number) AS orders
        FROM shop_couponrecord AS record
        JOIN (
            SELECT coupon_record_id, order_id FROM shop_orderline WHERE coupon_record_id IS NOT NULL
            UNION ALL SELECT global_coupon_record_id, id FROM shop_order
            WHERE global_coupon_record_id IS NOT NULL
        ) AS use ON use.coupon_record_id = record.id
        JOIN shop_order AS orders ON orders.id = use.order_id
            AND orders.status IN ({OrderStatus.AWAITING_PAYMENT}, {OrderStatus.PAID})
        GROUP BY record.id HAVING count(*) > 1 OR record.order_id IS DISTINCT FROM min(orders.id)
            OR record.status <> CASE WHEN min(orders.status) = {OrderStatus.PAID}
                THEN {CouponRecordStatus.USED} ELSE {CouponRecordStatus.RESERVED} END
        """,
    ),
    Rule(
        "coupons_not_orphaned",
        "A coupon that is reserved or used is so for an order that was made with it and is alive (or "
        "refunded without giving it back).",
        """
        SELECT record.id, record.status, orders.order_number, orders.status AS order_status
        FROM shop_couponrecord AS record
        LEFT JOIN shop_order AS orders ON orders.id = record.order_id
        WHERE (record.status = {CouponRecordStatus.RESERVED}
            AND orders.status IS DISTINCT FROM {OrderStatus.AWAITING_PAYMENT})
           OR (record.status = {CouponRecordStatus.USED}
               AND (orders.status IS NULL
                   OR orders.status NOT IN ({OrderStatus.PAID}, {OrderStatus.REFUNDED})))
        """,
    ),
    Rule(
        "campaigns_within_quantity",
        "A campaign's count of claims is the number of its coupons, and not above its quantity.",
        """
        SELECT coupon.id, coupon.name, coupon.quantity, coupon.claimed_count, count(record.id) AS records
        FROM shop_coupon AS coupon
        LEFT JOIN shop_couponrecord AS record ON record.coupon_id = coupon.id
        GROUP BY coupon.id HAVING count(record.id) <> coupon.claimed_count
            OR coupon.claimed_count > coupon.quantity
        """,
    ),
)
