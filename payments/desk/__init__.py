"""The part of the operators' admin that knows payments: the dashboard, an order on one page, and the deeds on
them.
"""
