"""The operators' desk as a whole: what waits for people, an order on one page, and what they can do about
it.
"""
