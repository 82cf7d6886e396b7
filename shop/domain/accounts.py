"""A buyer's own account: made, its password changed or reset, its ways of contact."""

import hashlib
from datetime import datetime
from functools import partial

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from knox.models import AuthToken

from shop import valkey
from shop.domain.login import TokenDigest
from shop.domain.versions import forget_poller
from shop.errors import LoginFailed, PasswordTooEasy, RegistrationClosed, StaleState, TooManyRequests, UsernameTaken
from shop.models import Account

# An office shares an address; a robot wants more. An hour each.
MAX_REGISTRATIONS = 20
MAX_RESETS_OF_ADDRESS, MAX_RESETS_OF_EMAIL = 20, 3
# As for a login: ten wrong passwords aren't a person's.
MAX_WRONG_PASSWORDS = 10
WINDOW_S = 3600


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
    _spend("register", address, most=MAX_REGISTRATIONS)
    account = Account(username=Account.normalize_username(username), email=email, phone=phone, date_joined=now)
    _judge_password(password, account)
    if Account.objects.filter(username__iexact=account.username).exists():
        raise UsernameTaken
    account.set_password(password)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
    except IntegrityError as error:
        raise UsernameTaken from error
    return account


def change_password(*, account_id: int, old_password: str, password: str) -> tuple[AuthToken, str]:
    """Changes the password, ends all logins, and returns a new one for whoever has changed it.

    Raises:
        TooManyRequests: too many wrong passwords.
        LoginFailed: the old password is wrong.
        PasswordTooEasy: the new one.
        StaleState: it was changed meanwhile.
    """
    account = Account.objects.get(pk=account_id)
    _spend("password", str(account_id), most=MAX_WRONG_PASSWORDS)
    if not account.check_password(old_password):
        raise LoginFailed("原密码不正确。")
    _judge_password(password, account)
    known = account.password
    account.set_password(password)
    with transaction.atomic(durable=True):
        if Account.objects.filter(pk=account_id, password=known).update(password=account.password) != 1:
            raise StaleState(f"the password of account {account_id} was changed meanwhile")
        end_logins(account_id)
        row, token = AuthToken.objects.create(user=account)
    return row, token


def end_logins(account_id: int) -> None:
    """Ends every token of the account, from the commit of the caller's transaction on."""
    digests = list(AuthToken.objects.filter(user=account_id).values_list("digest", flat=True))
    AuthToken.objects.filter(digest__in=digests).delete()
    for digest in digests:
        transaction.on_commit(partial(forget_poller, TokenDigest(digest)))


def change_contact(*, account_id: int, email: str, phone: str) -> Account:
    """Writes the ways to reach the buyer."""
    account = Account.objects.get(pk=account_id)
    account.email, account.phone = email, phone
    account.save(update_fields=["email", "phone"])
    return account


def count_reset(*, email: str, address: str) -> None:
    """Counts a wish for a reset mail.

    Raises:
        TooManyRequests: too many for this mailbox or from this address.
    """
    _spend("reset-address", address, most=MAX_RESETS_OF_ADDRESS)
    _spend("reset-email", email.lower(), most=MAX_RESETS_OF_EMAIL)


def _judge_password(password: str, account: Account) -> None:
    try:
        validate_password(password, account)
    except ValidationError as error:
        raise PasswordTooEasy(fields={"password": error.messages}) from error


def _spend(what: str, subject: str, *, most: int) -> None:
    # Hashed, so that no address or mailbox is stored.
    key = f"account:{what}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
    try:
        pipeline = valkey.client().pipeline(transaction=True)
        pipeline.incr(key)
        pipeline.expire(key, WINDOW_S, nx=True)
        count, _ = pipeline.execute()
    except valkey.Unreachable:
        return  # Buyers can go on without Valkey; password hashing slows a robot meanwhile.
    if count > most:
        raise TooManyRequests
