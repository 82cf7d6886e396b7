"""What a refund returns for which lines: pure arithmetic on the amounts that the order was made with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from shop.models import Order, OrderLine
from shop.money import ZERO, to_fen


@dataclass(frozen=True, slots=True)
class LinePart:
    """What a refund returns of one line, in yuan: of its cash, and of the value of its 贝里."""

    line: OrderLine
    cash: Decimal
    beili_amount: Decimal


@dataclass(frozen=True, slots=True)
class Share:
    """What a refund returns for some lines: yuan, and whole 贝里."""

    cash: Decimal
    beili: int


def whole_part(line: OrderLine) -> LinePart:
    """Everything that was paid for the line."""
    return LinePart(line, line.cash_amount, line.beili_amount)


def unused_part(line: OrderLine, *, days_left: int) -> LinePart:
    """What was paid for the days that are left of the line's period: price × days left / days bought, half up
    to the fen.
    """
    return LinePart(
        line,
        to_fen(line.cash_amount * days_left / line.valid_period),
        to_fen(line.beili_amount * days_left / line.valid_period),
    )


def within(parts: Sequence[LinePart], cash: Decimal) -> list[LinePart]:
    """The same parts with at most `cash` yuan in all.

    The later ones get less, so that no more goes back than is there.
    """
    left, fitting = cash, []
    for part in parts:
        fitting.append(replace(part, cash=min(part.cash, left)))
        left -= fitting[-1].cash
    return fitting


def share_of(
    order: Order, parts: Collection[LinePart], *, earlier_beili_amount: Decimal, beili_gone: int
) -> Share:
    """What goes back for `parts`, when 贝里 worth `earlier_beili_amount` yuan belong to lines that have gone
    back or are about to.

    Cash is each part's own. Whole 贝里 go back as soon as the parts' values add up to them, so that whatever
    the order of refunds, all of them together are what was paid. What has gone (`beili_gone`) is counted, not
    computed: a refund that was rejected since may have left a whole 贝里 with another line.
    """
    cash = sum((part.cash for part in parts), ZERO)
    beili_amount = sum((part.beili_amount for part in parts), earlier_beili_amount)
    return Share(cash, max(int(beili_amount * order.beili_per_yuan) - beili_gone, 0))
