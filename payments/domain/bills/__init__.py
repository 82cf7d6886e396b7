"""The gateway's daily bills, compared with the shop's books. What one has and the other hasn't is a
difference, which people explain or the gateway's own answers end.
"""
