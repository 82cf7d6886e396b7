"""The simulator's merchant: the simulator makes it, and the environment tells the shop of it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from project.local.errors import LocalError
from project.local.state import ROOT


@dataclass(frozen=True)
class Merchant:
    """Where the simulator's `init` puts the first merchant's keys, and the ids that it gives it."""

    folder: Path
    app_id: str = "2021000000000001"
    seller_id: str = "2088000000000001"

    def environment(self) -> dict[str, str]:
        keys = self.folder / "keys" / self.app_id
        return {
            "ALIPAY_APP_ID": self.app_id,
            "ALIPAY_SELLER_ID": self.seller_id,
            "ALIPAY_APP_PRIVATE_KEY_PATH": str(keys / "app_private_key.pem"),
            "ALIPAY_PUBLIC_KEY_PATHS": str(keys / "alipay_public_key.pem"),
        }


def prepare_simulator(folder: Path) -> Merchant:
    """Makes the simulator's state with one merchant; what exists is kept.

    Raises: LocalError when that fails.
    """
    command = [sys.executable, "-m", "payments.simulator", "init", "--state", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, umask=0o077)
    if ended.returncode != 0:
        raise LocalError(f"The simulator could not prepare {folder}:\n{ended.stdout}{ended.stderr}")
    return Merchant(folder)
