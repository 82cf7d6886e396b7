"""What all tests share."""

from hypothesis import settings

# The same examples in every run, so that a failure is found by whoever caused it; no deadline, since the machine may be busy.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
settings.load_profile("repeatable")
