"""The end of an epoch, whatever the office says of the hub meanwhile; and what idles is found wherever it lies."""

import pytest

from cloud_sync.protocol.peers import PeerAsk
from edge_agent.ledger import epoch_state
from edge_agent.ledger.store import LedgerRefusedError
from edge_agent.messages import AskLease, CloseOrdered, Frozen, OfficeLink, Reopened
from edge_agent.office import homecoming
from edge_agent.peer_messages import FromPeer
from payment_core.events import TicketsWon
from payment_core.hub_epoch import EpochState
from payment_core.journal import EpochClosed, LeaseReturned, Part
from payment_core.pricing import LocalTime
from tests.support.hall import Hall, account_of, logged, the_command, the_view
from tests.support.lan import Lan, hub_id_of, journal_of
from tests.support.ledger_truth import faults_of


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.step(OfficeLink(up=True))
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def returned(hall):
    return [
        (entry.why, sum(part.amount for part in entry.parts))
        for entry in journal_of(hall)
        if isinstance(entry, LeaseReturned)
    ]


def ends(hall):
    return [entry for entry in journal_of(hall) if isinstance(entry, EpochClosed)]


def test_a_closing_that_is_frozen_goes_on_and_ends(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(CloseOrdered(1, "spare"))
    hall.step(Frozen("over_claim"))
    hall.restart()
    hall.step(*hall.arrivals())
    assert ends(hall) == []
    hall.step(hall.delivered(command))
    assert len(ends(hall)) == 1
    assert hall.balance("card-7") == 0


def test_a_closed_hub_that_is_frozen_stays_closed(hall):
    hall.enroll("card-7", 1_000)
    hall.step(CloseOrdered(1, "spare"))
    before = len(journal_of(hall))
    hall.step(Frozen("over_claim"), hall.coin())
    assert logged(hall.step(CloseOrdered(1, "again"))) == ["close.ignored"]
    hall.step(Reopened(1, "over_claim"))
    hall.restart()
    hall.step(*hall.arrivals(), hall.coin(), hall.lease("card-7", 5_000))
    assert the_view(hall.step(hall.tap("card-7"))).reason == "hub_closed"
    assert len(journal_of(hall)) == before
    assert len(ends(hall)) == 1
    assert epoch_state.read(hall.store) is EpochState.CLOSED


def test_a_hub_that_was_frozen_before_can_be_closed_and_reopening_does_not_undo_it(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(Frozen("over_claim"))
    hall.step(CloseOrdered(1, "spare"))
    assert logged(hall.step(Reopened(1, "over_claim"))) == ["till.reopened"]
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).state == "declined"
    hall.step(hall.delivered(command))
    assert len(ends(hall)) == 1


def test_who_waits_for_money_is_answered_before_the_end(hall):
    hall.enroll("card-7")
    assert any(isinstance(effect, AskLease) for effect in hall.step(hall.tap("card-7")))
    hall.step(CloseOrdered(1, "spare"))
    for _ in range(4):
        hall.wait(300)
    assert [type(entry).__name__ for entry in journal_of(hall)][-2:] == ["Declined", "EpochClosed"]


def test_the_database_takes_nothing_behind_the_end(hall):
    hall.step(CloseOrdered(1, "spare"))
    again = "SELECT max(seq) + 1, record, hash FROM entries"
    for change in (
        f"INSERT INTO entries(seq, record, hash) {again}",
        "UPDATE meta SET value = 'open' WHERE key = 'epoch_state'",
        "UPDATE meta SET value = 'closing' WHERE key = 'epoch_state'",
        "DELETE FROM meta WHERE key = 'epoch_state'",
    ):
        with pytest.raises(LedgerRefusedError):
            hall.store.execute(change)


def test_every_lease_of_an_account_is_found_wherever_a_slice_ends(hall, monkeypatch):
    """Only the last row of each account has money left: who looks from account to account never comes to it."""
    monkeypatch.setattr(homecoming, "SLICE", 3)
    for n in range(3):
        hall.enroll(f"card-{n}")
        for epoch in range(1, 4):
            hall.step(hall.lease(f"card-{n}", 200, epoch=epoch), hall.lease(f"card-{n}", 7, unit="bonus"))
            hall.step(hall.delivered(the_command(hall.wait(1_000, hall.tap(f"card-{n}")))))
    hall.pass_ms(31 * 60_000)
    for _ in range(9):
        hall.wait(1_000)
    back = [part.amount for entry in journal_of(hall) if isinstance(entry, LeaseReturned) for part in entry.parts]
    assert back == [7, 7, 7]


def test_what_cannot_go_home_is_named_in_the_last_record(tmp_path):
    lan = Lan(tmp_path)
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    lan.step(1, hall.coin(), hall.event("acceptor-2", TicketsWon(12)))
    lan.step(1, FromPeer(hub_id_of(2), 5, PeerAsk(account_of("card-7"), "CNY", 400)))
    lan.step(1, CloseOrdered(1, "spare"))
    (end,) = ends(hall)
    assert (end.at_lanes, end.won, end.untaken) == ((Part("CNY", 100),), (Part("ticket", 12),), (Part("CNY", 400),))
    lan.close()


def test_an_end_that_leaves_nothing_names_nothing(hall):
    hall.enroll("card-7", 1_000)
    hall.step(CloseOrdered(1, "spare"))
    (end,) = ends(hall)
    assert (end.at_lanes, end.won, end.untaken) == ((), (), ())


@pytest.mark.parametrize("cut", [0, 360])
def test_who_comes_behind_a_closing_at_the_cut_of_the_day_keeps_his_money(tmp_path, cut):
    """The business day changes with the very minute, so no date says when the closing is over."""
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"closing_minute": cut})
    hall.step(OfficeLink(up=True))
    hall.enroll("card-7", 500)
    hall.local = LocalTime(weekday=6, minute=(cut - 1) % 1_440)
    hall.wait(1_000)
    hall.local, hall.business_date = LocalTime(weekday=7, minute=cut), 20251123
    hall.wait(1_000)
    assert returned(hall) == [("closing", 500)]
    for later in (1, 240, 600):
        hall.local = LocalTime(weekday=7, minute=cut + later)
        hall.step(hall.lease("card-7", 500 + later))
        hall.wait(2_000)
    assert hall.balance("card-7") == 600
    assert returned(hall) == [("closing", 500)]
    hall.store.close()


@pytest.mark.parametrize(("hours", "why"), [(1, "closing"), (5, "idle")])
def test_a_closing_waits_some_hours_for_the_office_and_no_longer(tmp_path, hours, why):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"closing_minute": 120})
    hall.enroll("card-7", 500)
    for minute in (119, 120):
        hall.local = LocalTime(weekday=6, minute=minute)
        hall.wait(1_000)
    hall.local = LocalTime(weekday=6, minute=120 + 60 * hours)
    hall.pass_ms(hours * 3_600_000)
    hall.step(OfficeLink(up=True))
    hall.wait(1_000)
    assert returned(hall) == [(why, 500)]
    hall.store.close()
