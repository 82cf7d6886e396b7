"""Refunds: ours, asked for, decided, sent under our own number and booked once the gateway proves them; and
those made without us.
"""
