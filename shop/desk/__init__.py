"""The operators' desk, as far as it knows nothing of payments: how lists show rows, and the one way in which
people act on them.
"""
