"""Refunds: ours (requested, decided, sent under our own number, booked once the gateway proves them), and
those that were made without us.
"""
