"""What lanes' coins became accounts' in a day is counted on from batch to batch, and never from another journal."""

import pytest

from back_office.ledger import lane_days
from payment_core.journal import CoinBooked, Source
from tests.back_office.ledger.test_guest_book import allow_intake, brings_in
from tests.back_office.world import HUB, Office


def opens(office):
    """Let a hub have 1,000 of a guest's, and allow 100 of a lane's coins a day."""
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    allow_intake(office, cap=300, credit=100)
    return office


def gives(office, *amounts):
    """Make coins of a lane the guest's, each sum in a batch of its own; return whether that froze the hub."""
    for amount in amounts:
        number = office.hub.seq
        office.hub.write(lambda header, n=number: CoinBooked(1, header, "acceptor-1", 1, n, 1, 1, "CNY", 100))
        brings_in(office.hub, amount, source=Source.LANE_CREDIT, number=number)
        office.take(office.hub.batch())
    return office.frozen()


def test_a_day_is_read_once_and_then_only_what_came_since(office, monkeypatch):
    asked, plainly = [], lane_days.dated.records_of_date

    def counted(*args, after=0, **named):
        found = plainly(*args, after=after, **named)
        asked.append((after, len(found)))
        return found

    monkeypatch.setattr(lane_days.dated, "records_of_date", counted)
    assert gives(opens(office), 10, 20, 30, 40) == ""
    assert asked == [(0, 0), (0, 1), (3, 1), (5, 1)]
    assert gives(office, 1) == "overclaim"
    assert office.alarms() == [("overclaim", HUB)]


def in_two_offices(folder):
    """Tell two offices of two hubs of one name different days; return whether either was frozen for it."""
    frozen = []
    for name, amounts in (("one", (60, 40)), ("other", (10, 20, 70))):
        (folder / name).mkdir()
        office = opens(Office(folder / name))
        frozen.append(gives(office, *amounts))
        office.store.close()
    return frozen


def test_what_another_journal_said_counts_nothing(tmp_path):
    assert in_two_offices(tmp_path) == ["", ""]


def test_a_build_that_counts_on_from_any_journal_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(lane_days, "_goes_on_from", lambda *_: True)
    with pytest.raises(AssertionError):
        test_what_another_journal_said_counts_nothing(tmp_path)


def test_so_many_days_are_kept_and_a_day_of_too_many_accounts_is_not(office, monkeypatch):
    monkeypatch.setattr(lane_days, "_kept", kept := {})
    monkeypatch.setattr(lane_days, "KEPT_DAYS", 0)
    assert gives(opens(office), 60, 40) == ""
    monkeypatch.setattr(lane_days, "KEPT_DAYS", 9)
    monkeypatch.setattr(lane_days, "KEPT_ACCOUNTS", 0)
    assert (gives(office, 1), kept) == ("overclaim", {})
