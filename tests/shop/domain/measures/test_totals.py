"""Running totals of append-only tables: the folded rows and the rows that are still read are all rows, once
each.
"""

from datetime import datetime, timedelta

import pytest

from shop import clock
from shop.domain import ledger
from shop.domain.measures import totals
from shop.models import LedgerTransfer, Measurement
from tests.databases import open_session
from tests.factories import NOW, make_buyer
from tests.shop.domain.measures.others import wait_for_others

GRANT = "BEILI:beili_issued:beili_available"


def give(beili: int) -> None:
    ledger.grant_beili(account=make_buyer(), amount=beili, key=f"grant:{beili}", memo="", now=NOW)


def read() -> int:
    return totals.read_totals(totals.LEDGER).get(GRANT, 0) // 100


def fold(times: int = 2, *, has_none_open: bool = True) -> int:
    """Twice, since a fold only covers what the previous one saw. Returns how far the last one went."""
    at: datetime = clock.database_now()
    went = 0
    for number in range(times):
        went = totals.fold(totals.LEDGER, now=at + timedelta(seconds=number))
        if has_none_open:
            wait_for_others()
    return went


def folded() -> int:
    """The folded part alone."""
    found = Measurement.objects.filter(name="ledger").first()
    return found.value["sums"].get(GRANT, 0) // 100 if found else 0


@pytest.mark.django_db(transaction=True)
def test_the_total_is_all_rows_before_and_after_each_fold() -> None:
    assert read() == 0
    give(1)
    assert (read(), folded()) == (1, 0)
    fold()
    assert (read(), folded()) == (1, 1)
    give(10)
    assert (read(), folded()) == (11, 1)
    fold(3)
    assert (read(), folded()) == (11, 11)
    give(100)
    fold(1)
    assert read() == 111


@pytest.mark.django_db(transaction=True)
def test_a_row_that_commits_late_is_not_left_out() -> None:
    """Its id is lower than those of committed rows.

    Without the wait for its transaction it would be skipped for good.
    """
    buyer = make_buyer()
    with open_session() as late:
        late.execute(
            "INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, memo, "
            "created_at)"
            " VALUES ('late', 'beili_issued', 'beili_available', 'BEILI', 1000, %s, '', now())",
            [buyer.pk],
        )
        give(1)
        fold(4, has_none_open=False)
        assert (read(), folded()) == (1, 0)
        late.commit()
        assert read() == 1001
        fold(3)
        assert (read(), folded()) == (1001, 1001)


@pytest.mark.django_db(transaction=True)
def test_two_folds_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    give(1)
    fold()
    give(10)
    fold(1)
    kept = totals._add_up

    def overtaken(total: totals.Total, after: int, up_to: int) -> totals.Sums:
        monkeypatch.setattr(totals, "_add_up", kept)
        # another fold in the middle of ours
        assert totals.fold(totals.LEDGER, now=clock.database_now()) > 0
        return kept(total, after, up_to)

    monkeypatch.setattr(totals, "_add_up", overtaken)
    assert totals.fold(totals.LEDGER, now=clock.database_now()) == 0
    assert (read(), folded()) == (11, 11)


@pytest.mark.django_db(transaction=True)
def test_a_scrape_reads_no_more_than_it_may_and_never_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "LIVE_IDS", 2)
    first = LedgerTransfer.objects.count()
    assert first == 0
    seen = [read()]
    for beili in (1, 10, 100, 1000, 10000):
        give(beili)
        seen.append(read())
    for _ in range(4):
        fold(1)
        seen.append(read())
    assert seen == sorted(seen)
    assert seen[-1] == 11111


@pytest.mark.django_db(transaction=True)
def test_a_fold_goes_on_by_its_own_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "FOLD_IDS", 10**9)
    for beili in (1, 10, 100):
        give(beili)
    fold()
    before = folded()
    assert before == 111
    highest = LedgerTransfer.objects.latest("pk").pk
    monkeypatch.setattr(totals, "FOLD_IDS", 1)
    for beili in (1000, 10000):
        give(beili)
    assert [fold(1) for _ in range(4)] == [0, 1, 1, 0]
    assert Measurement.objects.get(name="ledger").value["up_to"] == highest + 2
    assert folded() == 11111


@pytest.mark.django_db(transaction=True)
def test_a_restored_dump_brings_no_transaction_along() -> None:
    """The other server's transaction id was far ahead of this one's."""
    give(1)
    fold(1)
    kept = Measurement.objects.get(name="ledger")
    Measurement.objects.filter(pk=kept.pk).update(value={**kept.value, "next_xid": 10**15})
    assert fold(1) == LedgerTransfer.objects.latest("pk").pk
    assert (read(), folded()) == (1, 1)
