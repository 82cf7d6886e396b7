"""Reads the environment, loudly: a value that makes no sense stops the start with the variable's name.

Every variable can also be given as a file: `X_FILE=/run/secrets/x` is read where `X` is not set.
"""

from environs import FileAwareEnv

env = FileAwareEnv()
