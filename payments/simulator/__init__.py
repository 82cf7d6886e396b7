"""A stand-in for Alipay's gateway: cashier, signed answers, notifications, refunds, bills, a virtual clock
and faults.

It is a process of its own that speaks only HTTP, so it imports nothing from the rest of the project.
"""
