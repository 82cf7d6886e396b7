"""Logging in, with limits on guessing. `tokens.py` issues and ends tokens."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import structlog
from django.conf import settings
from django.contrib.auth import authenticate

from shop.domain import limits
from shop.domain.accounts.devices import find_device
from shop.domain.limits import Rate, Share
from shop.errors import LoginFailed, TooManyRequests
from shop.models import Account

log = structlog.get_logger(__name__)

# A hash takes some 20 ms, so a place is free again within a second.
_PLACE_RETRY_S = 1


def log_in(
    *, username: str, password: str, address: str, device_note: str | None = None, is_for_staff: bool = False
) -> Account:
    """The account that the credentials belong to. `address` identifies the client for counting.

    An attempt counts before its password is hashed, so parallel attempts can't pass together; a correct
    password gives its count back, and so does one that couldn't be compared. Without Valkey buyers log in
    unlimited and staff can't log in at all, not even as buyers, which would confirm their passwords.

    Raises:
        LoginFailed: the credentials are for no active account, not for staff's, or for staff's while nobody
            can count; which it is isn't told.
        TooManyRequests: too many attempts or wrong passwords, or every place for hashing is taken.
        ServiceUnavailable: staff, and nobody can count.
    """
    attempts, failures = _shares(username, address, find_device(device_note, username=username))
    try:
        with hashing_place():
            is_counted = limits.spend(attempts, *failures, is_open_without_valkey=not is_for_staff)
            with limits.returned_after_failure(*failures):
                account = authenticate(username=username, password=password)
    except TooManyRequests as refusal:
        log.warning(
            "login_locked",
            account=_find_id(username),
            address=address,
            is_for_staff=is_for_staff,
            limit=refusal.details.get("limit"),
        )
        raise
    if (
        not isinstance(account, Account)
        or (is_for_staff and not account.is_staff)
        or (account.is_staff and not is_counted)
    ):
        log.warning("login_failed", account=_find_id(username), address=address, is_for_staff=is_for_staff)
        raise LoginFailed
    limits.give_back(failures)
    log.info("login_succeeded", account=account.pk, address=address, is_for_staff=is_for_staff)
    return account


def _find_id(username: str) -> int | None:
    """Whose name it is, for the log: the name itself may be a mailbox, a phone, or a password that was typed
    into the wrong field.
    """
    return Account.objects.filter(username=username).values_list("pk", flat=True).first()


def _shares(username: str, address: str, device: str | None) -> tuple[Share, tuple[Share, ...]]:
    """What counts every attempt, and what counts wrong passwords only. A known device has its own shares."""
    if device is not None:
        return Share(Rate.LOGINS_OF_KNOWN_NAME, username), (Share(Rate.LOGIN_FAILURES_OF_DEVICE, device),)
    return Share(Rate.LOGINS_OF_ADDRESS, address), (
        Share(Rate.LOGIN_FAILURES_OF_PAIR, f"{address} {username}"),
        Share(Rate.LOGIN_FAILURES_OF_ADDRESS, address),
        Share(Rate.LOGIN_FAILURES_OF_NAME, username),
    )


@contextmanager
def hashing_place() -> Iterator[None]:
    """One of the process's few places for hashing. Nobody queues for one, because a waiting request would
    hold a thread.
    """
    places = _places(settings.LOGIN_PLACES)
    if not places.acquire(blocking=False):
        limits.refuse("login_places", retry_after_s=_PLACE_RETRY_S)
    try:
        yield
    finally:
        places.release()


@cache
def _places(count: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(count)
