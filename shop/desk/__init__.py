"""The part of the operators' admin that is independent of payments: how lists show rows, and the single
mechanism by which staff act on them.
"""
