"""The shop with another choice made, for a comparison: `DJANGO_SETTINGS_MODULE=alternative.settings` and the changes in BENCH_CHANGES.

BENCH_CHANGES is a JSON object; each key may be missing:

database    entries of DATABASES["default"]; OPTIONS are merged
session     what is added to each PostgreSQL session's options
constants   dotted name of a module's constant → value
wake_ups    a function of `alternative.wakeups`
worker      a function of `alternative.worker`
signatures  a function of `alternative.signatures`
"""
