"""The state of a running simulator."""

import threading
from pathlib import Path

from payments.simulator.call_counter import CallCounter
from payments.simulator.clock import Clock
from payments.simulator.faults import Faults
from payments.simulator.merchants import Merchants
from payments.simulator.settings import Settings, SettingsBook
from payments.simulator.store import Store


class Simulation:
    """State and rules without threads and without HTTP; the notifier and the web application are built around
    it.
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.store = Store(state_dir / "simulator.sqlite3")
        self.clock = Clock(self.store)
        self.settings_book = SettingsBook(self.store)
        self.merchants = Merchants(self.store, state_dir)
        self.faults = Faults(self.store, self.settings_book)
        self.calls = CallCounter()
        # Set when something may have become due; the notifier waits for it. It may be set inside a
        # transaction: the notifier needs the same lock, so it sees that transaction's result.
        self.news = threading.Event()

    @property
    def settings(self) -> Settings:
        return self.settings_book.current

    def now(self) -> float:
        return self.clock.now()

    def wipe(self) -> None:
        """Deletes trades, notifications, logs and faults.

        Merchants, keys and settings stay, the clock returns to real time.
        """
        self.store.wipe()
        self.faults.forget()
        self.merchants.reset_balances()
        self.clock.reset()

    def close(self) -> None:
        self.store.close()
