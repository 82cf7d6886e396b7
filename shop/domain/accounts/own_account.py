"""A buyer's own account: registration, password change and reset, contact details."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop
from knox.models import AuthToken

from shop.domain import limits
from shop.domain.accounts import tokens
from shop.domain.accounts.login import hashing_place
from shop.domain.limits import Rate, Share
from shop.domain.locks import existing
from shop.errors import LoginFailed, PasswordTooEasy, RegistrationClosed, StaleState, UsernameTaken
from shop.models import Account

log = structlog.get_logger(__name__)


def register(*, username: str, password: str, email: str, phone: str, address: str, now: datetime) -> Account:
    """Makes a buyer's account. `address` is the client's, by which attempts are counted.

    Raises:
        RegistrationClosed: the shop takes nobody in.
        TooManyRequests: too many attempts from this address.
        PasswordTooEasy: `fields` says what is wrong with it.
        UsernameTaken: somebody has this name, in whatever case.
    """
    if not settings.REGISTRATION_OPEN:
        raise RegistrationClosed
    share = Share(Rate.REGISTRATIONS_OF_ADDRESS, address)
    limits.spend(share)
    with limits.returned_after_failure(share):
        account = _store_account(
            username=username, password=password, email=email, phone=phone, date_joined=now
        )
    log.info("account_registered", account=account.pk, address=address)
    return account


def change_password(
    *, account_id: int, old_password: str, password: str, now: datetime
) -> tuple[AuthToken, str]:
    """Changes the password, ends all logins, and returns a new one for whoever has changed it.

    Raises:
        NotFound: no such account.
        TooManyRequests: too many wrong passwords.
        ServiceUnavailable: staff, and nobody can count.
        LoginFailed: the old password is wrong.
        PasswordTooEasy: the new one.
        StaleState: it was changed meanwhile.
    """
    account = existing(Account.objects.filter(pk=account_id).first())
    share = Share(Rate.PASSWORD_CHANGES, str(account_id))
    limits.spend(share, is_open_without_valkey=not account.is_staff)
    with limits.returned_after_failure(share):
        _store_password(account, old_password=old_password, password=password)
    log.info("password_changed", account=account_id)
    return tokens.issue_token(account=account, now=now)


def change_contact(*, account_id: int, email: str, phone: str) -> Account:
    """Stores the buyer's contact details.

    Raises:
        NotFound: no such account.
    """
    account = existing(Account.objects.filter(pk=account_id).first())
    account.email, account.phone = email, phone
    account.save(update_fields=["email", "phone"])
    return account


@contextmanager
def counted_reset(*, email: str, address: str) -> Iterator[None]:
    """Counts a request for a reset mail, which the block sends.

    Raises:
        TooManyRequests: too many for this mailbox or from this address.
    """
    shares = Share(Rate.RESETS_OF_ADDRESS, address), Share(Rate.RESETS_OF_MAILBOX, email.lower())
    limits.spend(*shares)
    with limits.returned_after_failure(*shares):
        yield


def _store_account(*, username: str, password: str, email: str, phone: str, date_joined: datetime) -> Account:
    account = Account(
        username=Account.normalize_username(username), email=email, phone=phone, date_joined=date_joined
    )
    _judge_password(password, account)
    if Account.objects.filter(username__iexact=account.username).exists():
        raise UsernameTaken
    with hashing_place():
        account.set_password(password)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
    except IntegrityError as error:
        raise UsernameTaken from error
    return account


def _store_password(account: Account, *, old_password: str, password: str) -> None:
    with hashing_place():
        if not account.check_password(old_password):
            log.warning("password_change_failed", account=account.pk)
            raise LoginFailed(gettext_noop("原密码不正确。"))
        _judge_password(password, account)
        known = account.password
        account.set_password(password)
    with transaction.atomic(durable=True):
        if Account.objects.filter(pk=account.pk, password=known).update(password=account.password) != 1:
            raise StaleState(f"the password of account {account.pk} was changed meanwhile")
        tokens.end_tokens([account.pk])


def _judge_password(password: str, account: Account) -> None:
    try:
        validate_password(password, account)
    except ValidationError as error:
        raise PasswordTooEasy(fields={"password": error.messages}) from error
