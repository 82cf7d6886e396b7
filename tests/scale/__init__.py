"""The shop with several servers and processes of each kind, and what each failover costs its buyers.

Behind `bin/scale-test`.
"""
