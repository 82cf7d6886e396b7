"""Campaigns, their codes and the coupons of buyers in the admin."""

from shop.couponadmin import campaigns, codes, records  # noqa: F401 - register themselves
