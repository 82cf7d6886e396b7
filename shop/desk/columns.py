"""Columns that several tables of the admin share."""

from typing import Any

from django.utils.translation import pgettext_lazy
from unfold.decorators import display

from shop.desk.display import link_to


class BuyerColumn:
    """A mixin with the column `buyer`, for rows that have an account."""

    @display(description=pgettext_lazy("one", "买家"))
    def buyer(self, row: Any) -> str:
        return link_to(row.account)


class OrderColumn:
    """A mixin with the column `of_order`, for rows that have an order, or None in its place."""

    @display(description=pgettext_lazy("one", "订单"))
    def of_order(self, row: Any) -> str:
        return link_to(row.order)
