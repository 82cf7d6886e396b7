"""Django's PostgreSQL engine with a cheaper check that a kept connection is still alive."""
