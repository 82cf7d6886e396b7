"""Everything that the shop needs on one machine, from wheels and without Docker: PostgreSQL, Valkey, the
processes, a demo purchase.

Nothing here runs in production, and nothing outside imports it except the tests.
"""
