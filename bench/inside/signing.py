"""Runs inside the measured project: signs pay URLs and verifies notifications, so many of each, when it is told to.

`python signing.py` says `ready` and waits for lines: `sign 100`, `verify 100`. Each is answered with `done` when it is done.
"""

import base64
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import django

django.setup()

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: E402 - what follows needs Django
from cryptography.hazmat.primitives.hashes import SHA256  # noqa: E402
from django.conf import settings  # noqa: E402

from payments.gateways import get_gateways  # noqa: E402
from payments.gateways.alipay import read_private_key  # noqa: E402
from payments.gateways.protocol import PaymentIntent  # noqa: E402

INTENT = PaymentIntent("20260302120000000ABCDEFP1", Decimal("310.20"), "课程 1 等2门课程", datetime(2026, 3, 2, 4, 30, tzinfo=UTC))


def main() -> None:
    gateway, body = get_gateways().current, urlencode(_notification()).encode()
    works = {"sign": lambda: gateway.page_url(INTENT), "verify": lambda: gateway.verify_notification({}, body)}
    for work in works.values():
        work()
    print("ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        for _ in range(int(count)):
            works[name]()
        print("done", flush=True)


def _notification() -> dict[str, str]:
    """One that Alipay could have sent, signed with the simulator's key."""
    fields = {
        "notify_time": "2026-03-02 12:01:05",
        "notify_type": "trade_status_sync",
        "notify_id": "2026030200222000000000000000000001",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": settings.ALIPAY["APP_ID"],
        "seller_id": settings.ALIPAY["SELLER_ID"],
        "trade_no": "2026030222001400000000000001",
        "out_trade_no": INTENT.out_trade_no,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": str(INTENT.amount),
        "gmt_payment": "2026-03-02 12:01:04",
    }
    key = read_private_key(Path(settings.ALIPAY["PUBLIC_KEY_PATHS"][0]).with_name("alipay_private_key.pem"))
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    signature = base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    return {**fields, "sign_type": "RSA2", "sign": signature}


if __name__ == "__main__":
    main()
