"""One buyer's 贝里, spent from many requests at once."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest

from shop.domain import ledger
from shop.domain.ordering import creation
from shop.domain.ordering.order_batch import PendingRequest, lock_world
from shop.models import Account, LedgerTransfer, Order, OrderRequest
from shop.states import OrderRequestStatus
from tests.guards import unguarded
from tests.invariants import InvariantBrokenError, check_invariants, query_django
from tests.races.crowd import PATIENCE_S, count_kinds, run_at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

CROWD = 20
AFFORDABLE = 7


def test_balance_is_spent_as_often_as_it_lasts(
    make_buyers: Callable[..., list[Account]], place: Callable[..., OrderRequest], now: datetime
) -> None:
    [buyer] = make_buyers(1, beili=10 * AFFORDABLE + 3)
    requests = [place(buyer, f"key-{number}", beili=10) for number in range(CROWD)]
    results = run_at_once(
        [partial(creation.create_orders, [request.pk], now=now, cause="race") for request in requests]
    )

    assert count_kinds(results) == {"ok": CROWD}
    assert Counter(OrderRequest.objects.values_list("status", "error_slug")) == {
        (OrderRequestStatus.CREATED, ""): AFFORDABLE,
        (OrderRequestStatus.REJECTED, "balance_insufficient"): CROWD - AFFORDABLE,
    }
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (3, 10 * AFFORDABLE)
    check_invariants(query_django)


def test_control_read_modify_write_spends_more_than_there_is(
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same race without lock and guards, with the balance read and written back: every request can afford
    it.
    """
    [buyer] = make_buyers(1, beili=10 * AFFORDABLE + 3)
    requests = [place(buyer, f"key-{number}", beili=10) for number in range(CROWD)]
    all_have_read = threading.Barrier(CROWD, timeout=PATIENCE_S)
    seen = threading.local()

    def read_world(requests: list[PendingRequest], *, now: datetime) -> object:
        seen.account = Account.objects.get(pk=buyer.pk)
        all_have_read.wait()
        world = lock_world(requests, now=now)
        world.balances[buyer.pk] = seen.account.balance
        return world

    def write_back(orders: list[Order], *, now: datetime) -> list[LedgerTransfer]:
        for order in orders:
            Account.objects.filter(pk=buyer.pk).update(
                balance=seen.account.balance - order.beili,
                held_balance=seen.account.held_balance + order.beili,
            )
        return hold_transfers(orders, now=now)

    monkeypatch.setattr(creation, "lock_world", read_world)
    hold_transfers = ledger.hold_transfers
    monkeypatch.setattr(ledger, "hold_transfers", write_back)
    with unguarded("shop_ledgertransfer", "moves_balances"), unguarded("shop_account", "derived"):
        results = run_at_once(
            [partial(creation.create_orders, [request.pk], now=now, cause="race") for request in requests]
        )

    assert count_kinds(results) == {"ok": CROWD}
    assert Order.objects.count() == CROWD
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (10 * (AFFORDABLE - 1) + 3, 10)
    with pytest.raises(InvariantBrokenError, match="the fold of the ledger"):
        check_invariants(query_django)
