"""The synchronous baseline: the shop's own domain code, with the order created inside the request."""
