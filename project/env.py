"""Reads the environment, loudly: a value that makes no sense stops the start with the variable's name.

Every variable can also be given as a file: `X_FILE=/run/secrets/x` goes before `X`.
"""

import re

from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv

env = FileAwareEnv(strip_whitespace=True)  # a secret written by `echo` ends with a line break


def read_rate(name: str, default: str) -> tuple[int, int]:
    """A rate such as `30/60`: thirty in any window of sixty seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})", env.str(name, default))
    if found is None:
        raise ImproperlyConfigured(f"{name} must be a count and seconds, such as {default}.")
    return int(found[1]), int(found[2])
