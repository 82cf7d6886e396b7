"""Reads the environment, loudly: a value that makes no sense stops the start with the variable's name.

Every variable can also be given as a file: `X_FILE=/run/secrets/x` goes before `X`.
"""

from environs import FileAwareEnv

env = FileAwareEnv(strip_whitespace=True)  # a secret written by `echo` ends with a line break
