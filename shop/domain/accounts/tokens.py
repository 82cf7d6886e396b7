"""A login's token, from its issue to its end.

Every way of ending one goes through `_end`, which tells the pollers' cache too.
"""

from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from knox.models import AuthToken
from knox.settings import knox_settings

from shop.domain.callers import TokenDigest
from shop.domain.locks import lock_account
from shop.domain.polling.answer_cache import forget_pollers
from shop.errors import LoginFailed
from shop.models import Account


def issue_token(*, account: Account, now: datetime) -> tuple[AuthToken, str]:
    """A new token for an account that has just shown its password; of more than `MAX_TOKENS` the oldest end.

    Raises:
        LoginFailed: the account was disabled or its password changed since.
    """
    with transaction.atomic(durable=True):
        locked = lock_account(account.pk)
        if not locked.is_active or locked.password != account.password:
            raise LoginFailed
        # knox adds the given span to the system's clock, while the shop uses its own clock.
        expiry = now + knox_settings.TOKEN_TTL - timezone.now()
        row, token = AuthToken.objects.create(user=account, expiry=expiry)
        newest_first = AuthToken.objects.filter(user=account).order_by("-created", "-digest")
        _end(
            AuthToken.objects.filter(
                pk__in=list(newest_first.values_list("pk", flat=True)[settings.MAX_TOKENS :])
            )
        )
    return row, token


def end_token(digest: TokenDigest) -> None:
    """Ends one token; one that has ended already is no error."""
    with transaction.atomic():
        _end(AuthToken.objects.filter(pk=digest))


def end_tokens(account_ids: Collection[int]) -> int:
    """Ends every token of these accounts; returns how many. Their password has changed."""
    with transaction.atomic():
        return _end(AuthToken.objects.filter(user__in=account_ids))


def end_logins(account_ids: Collection[int]) -> int:
    """Ends every token and every session of these accounts; returns how many tokens."""
    with transaction.atomic():
        Account.objects.filter(pk__in=account_ids).update(login_generation=F("login_generation") + 1)
        return end_tokens(account_ids)


def disable_accounts(account_ids: Collection[int]) -> int:
    """Disables active accounts and ends their logins for good; returns how many there were.

    Enabling revives none of them.
    """
    with transaction.atomic():
        # First: the trigger that ends sessions and what tokens are left doesn't tell which.
        end_tokens(account_ids)
        return Account.objects.filter(pk__in=account_ids, is_active=True).update(is_active=False)


def purge_tokens(*, now: datetime) -> int:
    """Deletes expired tokens; returns how many."""
    return int(AuthToken.objects.filter(expiry__lte=now).delete()[0])


def purge_sessions() -> None:
    """Deletes ended staff sessions. Django's sessions expire by the system's clock."""
    SessionStore.clear_expired()


def _end(tokens: "QuerySet[AuthToken]") -> int:
    digests = list(tokens.values_list("pk", flat=True))
    if digests:
        AuthToken.objects.filter(pk__in=digests).delete()
        transaction.on_commit(lambda: forget_pollers(digests))
    return len(digests)
