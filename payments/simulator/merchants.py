"""Merchants, with their keys and balances."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from payments.simulator.keys import KeyFolder
from payments.simulator.store import Database, Store
from payments.simulator.times import BEIJING

DEFAULT_APP_ID = "2021000000000001"
DEFAULT_SELLER_ID = "2088000000000001"
# One million yuan, so that refunds don't run out of balance by accident, even of trades from before a wipe.
OPENING_BALANCE_FEN = 100_000_000
REGISTERED_AT = datetime(2020, 1, 1, tzinfo=BEIJING).timestamp()


@dataclass(frozen=True)
class Merchant:
    app_id: str
    seller_id: str
    seller_email: str
    registered_at: float
    keys: KeyFolder = field(repr=False)


class Merchants:
    """Looks merchants up by app id; keys are parsed once."""

    def __init__(self, store: Store, state_dir: Path) -> None:
        self._store = store
        self._keys_dir = state_dir / "keys"
        self._known: dict[str, Merchant] = {}

    def register(self, app_id: str, seller_id: str = "") -> Merchant:
        """Adds a merchant with fresh keys, or completes an existing one; an existing app id keeps its keys,
        and its seller unless one is given.

        Raises ValueError unless the id is all digits: the app id names a folder.
        """
        if not (app_id.isascii() and app_id.isdigit() and len(app_id) <= 32):
            raise ValueError(f"an app id is up to 32 digits, not {app_id!r}")
        known = self.find(app_id)
        seller_id = seller_id or (known.seller_id if known else DEFAULT_SELLER_ID)
        if not (seller_id.isascii() and seller_id.isdigit() and len(seller_id) == 16):
            raise ValueError(f"a seller id is 16 digits, not {seller_id!r}")
        KeyFolder(self._keys_dir / app_id).create_missing()
        with self._store.transaction() as db:
            db.run(
                "INSERT INTO merchant VALUES (?, ?, ?, ?, ?) ON CONFLICT (app_id) DO UPDATE SET seller_id = "
                "excluded.seller_id",
                app_id,
                seller_id,
                f"seller{seller_id[-4:]}@example.com",
                OPENING_BALANCE_FEN,
                REGISTERED_AT,
            )
        self._known.pop(app_id, None)
        return self.get(app_id)

    def find(self, app_id: str) -> Merchant | None:
        if app_id not in self._known:
            with self._store.transaction() as db:
                row = db.find(
                    "SELECT app_id, seller_id, seller_email, registered_at FROM merchant WHERE app_id = ?",
                    app_id,
                )
            if row is None:
                return None
            self._known[app_id] = Merchant(**dict(row), keys=KeyFolder(self._keys_dir / app_id))
        return self._known[app_id]

    def get(self, app_id: str) -> Merchant:
        merchant = self.find(app_id)
        if merchant is None:
            raise LookupError(f"no merchant has the app id {app_id}")
        return merchant

    def reset_balances(self) -> None:
        with self._store.transaction() as db:
            db.run("UPDATE merchant SET balance_fen = ?", OPENING_BALANCE_FEN)


def move_balance(db: Database, app_id: str, amount_fen: int) -> bool:
    """Adds to a merchant's balance, or subtracts from it. False if the balance is too low; then nothing
    changes.
    """
    sql = "UPDATE merchant SET balance_fen = balance_fen + ? WHERE app_id = ? AND balance_fen + ? >= 0"
    return db.run(sql, amount_fen, app_id, amount_fen) == 1
