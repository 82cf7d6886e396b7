"""Reads the environment, loudly: a value that makes no sense stops the start with the variable's name.

Every variable can also be given as a file: `X_FILE=/run/secrets/x` goes before `X`.
"""

import re

from environs import FileAwareEnv, ValidationError

env = FileAwareEnv(strip_whitespace=True)  # a secret written by `echo` ends with a line break


@env.parser_for("rate")
def _rate(value: str) -> tuple[int, int]:
    """A rate such as `30/60`: thirty in any window of sixty seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})", value)
    if found is None:
        raise ValidationError("a rate is a count and seconds, such as 30/60")
    return int(found[1]), int(found[2])
