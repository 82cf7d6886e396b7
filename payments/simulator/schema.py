"""The simulator's tables.

Amounts are in fen. Times are seconds since the epoch on the virtual clock, unless the name says `real`.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS merchant (
    app_id TEXT PRIMARY KEY, seller_id TEXT NOT NULL, seller_email TEXT NOT NULL,
    balance_fen INTEGER NOT NULL, registered_at REAL NOT NULL
);

-- A pay request that reached the cashier. The trade comes into being later, when the buyer scans,
-- logs in or pays.
CREATE TABLE IF NOT EXISTS session (
    session_id TEXT PRIMARY KEY, app_id TEXT NOT NULL, product TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    total_fen INTEGER NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, passback_params TEXT NOT NULL, notify_url TEXT NOT NULL,
    return_url TEXT NOT NULL,
    charset TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, timeout_s REAL,
    buyer TEXT NOT NULL DEFAULT '', abandoned_at REAL
);
CREATE INDEX IF NOT EXISTS session_order ON session (out_trade_no, app_id);

CREATE TABLE IF NOT EXISTS trade (
    trade_no TEXT PRIMARY KEY, app_id TEXT NOT NULL, product TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    status TEXT NOT NULL,
    total_fen INTEGER NOT NULL CHECK (total_fen > 0), subject TEXT NOT NULL, body TEXT NOT NULL,
    passback_params TEXT NOT NULL,
    notify_url TEXT NOT NULL, return_url TEXT NOT NULL, charset TEXT NOT NULL, seller_id TEXT NOT NULL,
    seller_email TEXT NOT NULL,
    buyer_id TEXT NOT NULL, buyer_logon_id TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL,
    paid_at REAL, closed_at REAL,
    finishes_at REAL, refunded_fen INTEGER NOT NULL DEFAULT 0 CHECK (refunded_fen <= total_fen),
    UNIQUE (app_id, out_trade_no),
    CHECK (status IN ('WAIT_BUYER_PAY', 'TRADE_SUCCESS', 'TRADE_FINISHED', 'TRADE_CLOSED')),
    CHECK (status NOT IN ('TRADE_SUCCESS', 'TRADE_FINISHED') OR paid_at IS NOT NULL),
    CHECK ((status = 'TRADE_CLOSED') = (closed_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS trade_order ON trade (out_trade_no);
CREATE INDEX IF NOT EXISTS trade_expiry ON trade (expires_at) WHERE status = 'WAIT_BUYER_PAY';
CREATE INDEX IF NOT EXISTS trade_finish ON trade (finishes_at) WHERE status = 'TRADE_SUCCESS';
CREATE INDEX IF NOT EXISTS trade_paid ON trade (app_id, paid_at);

CREATE TABLE IF NOT EXISTS refund (
    refund_id INTEGER PRIMARY KEY, trade_no TEXT NOT NULL REFERENCES trade, out_request_no TEXT NOT NULL,
    amount_fen INTEGER NOT NULL,
    reason TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    requested_at REAL NOT NULL, due_at REAL,
    refunded_at REAL, UNIQUE (trade_no, out_request_no),
        CHECK ((status = 'succeeded') = (refunded_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS refund_due ON refund (due_at) WHERE status = 'pending';

CREATE TABLE IF NOT EXISTS notification (
    notify_id TEXT PRIMARY KEY, app_id TEXT NOT NULL, trade_no TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    trade_status TEXT NOT NULL,
    url TEXT NOT NULL, charset TEXT NOT NULL, fields TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL, next_at REAL, is_held INTEGER NOT NULL DEFAULT 0,
    CHECK (state IN ('waiting', 'sending', 'delivered', 'exhausted', 'dropped'))
);
CREATE INDEX IF NOT EXISTS notification_due ON notification (next_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS notification_order ON notification (out_trade_no);

CREATE TABLE IF NOT EXISTS delivery (
    delivery_id INTEGER PRIMARY KEY, notify_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    attempt INTEGER NOT NULL, copy INTEGER NOT NULL,
    sent_at REAL NOT NULL, real_at REAL NOT NULL, url TEXT NOT NULL, content_type TEXT NOT NULL,
    body BLOB NOT NULL, faults TEXT NOT NULL,
    status INTEGER, answer TEXT NOT NULL, error TEXT NOT NULL, duration_ms REAL NOT NULL,
    is_accepted INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS delivery_notification ON delivery (notify_id);
CREATE INDEX IF NOT EXISTS delivery_order ON delivery (out_trade_no);

CREATE TABLE IF NOT EXISTS gateway_request (
    request_id INTEGER PRIMARY KEY, at REAL NOT NULL, real_at REAL NOT NULL, verb TEXT NOT NULL,
    app_id TEXT NOT NULL, method TEXT NOT NULL,
    out_trade_no TEXT NOT NULL, params TEXT NOT NULL, unknown_fields TEXT NOT NULL, fault TEXT NOT NULL,
    http_status INTEGER NOT NULL,
    code TEXT NOT NULL, sub_code TEXT NOT NULL, answer TEXT NOT NULL, duration_ms REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS gateway_request_order ON gateway_request (out_trade_no);

CREATE TABLE IF NOT EXISTS fault (
    fault_id INTEGER PRIMARY KEY, kind TEXT NOT NULL, category TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    app_id TEXT NOT NULL,
    method TEXT NOT NULL, trade_status TEXT NOT NULL, probability REAL NOT NULL, skip INTEGER NOT NULL,
    times INTEGER,
    params TEXT NOT NULL, seed TEXT NOT NULL, seen INTEGER NOT NULL DEFAULT 0, hits INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS bill_link (
    token TEXT PRIMARY KEY, app_id TEXT NOT NULL, bill_type TEXT NOT NULL, bill_date TEXT NOT NULL,
    real_at REAL NOT NULL
);
"""

# The tables that a wipe empties. Merchants, keys and settings stay, so a shop that uses this simulator keeps
# working.
WIPED = ("bill_link", "fault", "gateway_request", "delivery", "notification", "refund", "trade", "session")
