"""Checks the shop's books for consistency and against Alipay's."""

from decimal import Decimal
from typing import Any

from payments.domain.upkeep.audit.run import RULES
from project.local.waiting import wait_until
from tests.chaos.order_scenario import ChaosShop

SETTLE_S = 40


class BooksError(AssertionError):
    """Names the broken rules with their rows."""


def check_books(chaos: ChaosShop) -> None:
    """Waits until every rule of the audit holds and Alipay has the same amounts. Fails with what still
    differs after the timeout.

    Raises: BooksError.
    """
    if wait_until(lambda: not find_broken(chaos), timeout_s=SETTLE_S, poll_s=0.3):
        return
    broken = find_broken(chaos)
    if broken:
        raise BooksError(
            "\n".join(
                f"broken: {rule}\n" + "\n".join(f"    {row}" for row in rows[:5])
                for rule, rows in broken.items()
            )
        )


def find_broken(chaos: ChaosShop) -> dict[str, list[Any]]:
    """Rule → the offending rows, for each broken rule."""
    found: dict[str, list[Any]] = {
        rule.name: chaos.rows(rule.statement) for rule in RULES if not rule.is_about_time
    }
    found["money_at_alipay"] = find_money_differences(chaos)
    return {rule: rows for rule, rows in found.items() if rows}


def find_money_differences(chaos: ChaosShop) -> list[str]:
    """Trades whose payments or refunds at Alipay differ from what the shop has booked.

    In both directions.
    """
    booked = {
        row["out_trade_no"]: (row["paid"], row["refunded_amount"])
        for row in chaos.rows(
            "SELECT out_trade_no, CASE WHEN paid_at IS NULL THEN 0 ELSE amount END AS paid, refunded_amount "
            "FROM payments_payment"
        )
    }
    taken = money_at_alipay(chaos)
    nothing = (Decimal(0), Decimal(0))
    return [
        f"{number}: (paid, refunded) is {booked.get(number, nothing)} here and {taken.get(number, nothing)} "
        f"at Alipay"
        for number in sorted(booked.keys() | taken.keys())
        if booked.get(number, nothing) != taken.get(number, nothing)
    ]


def money_at_alipay(chaos: ChaosShop) -> dict[str, tuple[Decimal, Decimal]]:
    """Per trade: what the buyer paid, and what was refunded."""
    trades = chaos.control("GET", "trades?limit=1000")["trades"]
    return {
        trade["out_trade_no"]: (
            Decimal(trade["total_amount"]) if trade["paid_at"] is not None else Decimal(0),
            Decimal(trade["refunded_amount"]),
        )
        for trade in trades
    }
