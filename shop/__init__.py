"""The shop: catalogue, coupons, cart, checkout, pricing, orders, balance ledger, enrolments, storefront."""
