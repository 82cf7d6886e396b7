"""The shop on several servers and processes of everything, and what each failover costs its buyers.

Behind `bin/scale-test`.
"""
