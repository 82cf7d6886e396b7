"""The gateway's daily bills, compared with the shop's books. What only one of them has is a difference, which
staff explain or the gateway's answers resolve.
"""
