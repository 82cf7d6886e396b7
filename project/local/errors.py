"""What can go wrong on somebody's machine, told in a sentence that says what to do about it."""


class LocalError(Exception):
    """A start that can't go on. The message is for the person at the terminal."""
