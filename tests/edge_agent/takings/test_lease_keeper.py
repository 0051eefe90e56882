"""How much may lie at a hub, what goes back by itself and when, and how an epoch ends."""

import pytest

from cloud_sync.protocol.peers import PeerAsk, PeerNothing, Voucher
from edge_agent.ledger import at_stake, leases
from edge_agent.messages import CloseOrdered, DeviceIs, DocumentArrived, OfficeLink, Recalled
from edge_agent.office import in_force
from edge_agent.peer_messages import FromPeer
from edge_agent.takings import lease_keeper
from payment_core.bus import DeviceState
from payment_core.desk import Refund
from payment_core.journal import EpochClosed, LeaseReturned, Part
from payment_core.pricing import LocalTime
from tests.support.desk import DeskHall
from tests.support.hall import Hall, account_of, commands, logged, the_command, the_view
from tests.support.lan import Lan, hub_id_of, journal_of
from tests.support.ledger_truth import faults_of, kinds
from tests.support.sizes import count

HALF_AN_HOUR_MS = 30 * 60_000
YEAR_AND_MORE_MS = 400 * 24 * 3_600_000


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


def test_money_nobody_used_for_half_an_hour_goes_back(hall):
    hall.enroll("card-7", 1_000)
    hall.enroll("card-8", 500)
    hall.wait(HALF_AN_HOUR_MS - 2_000)
    hall.step(hall.tap("card-8"))
    hall.wait(2_000)
    assert hall.balance("card-7") == 0
    assert hall.balance("card-8") == 300
    assert returned(hall) == [("idle", 1_000)]


def test_nothing_goes_back_while_the_office_cannot_be_reached(hall):
    hall.enroll("card-7", 1_000)
    hall.step(OfficeLink(up=False))
    for _ in range(5):
        hall.wait(HALF_AN_HOUR_MS)
    assert hall.balance("card-7") == 1_000
    hall.step(OfficeLink(up=True))
    hall.wait(1_000)
    assert returned(hall) == [("idle", 1_000)]


def test_no_lease_is_reclaimed_by_time_on_either_side(tmp_path):
    """LSE-3: 400 days later everything that was outstanding is, and a voucher under way arrives as ever."""
    lan = Lan(tmp_path)
    lan.enroll("card-7", 1_000)
    lan.enroll("card-8", 700)
    lan.step(2, lan.hall(2).tap("card-8"))
    lan.deliver_one()
    lan.wire.clear()
    for _ in range(4):
        lan.wait(YEAR_AND_MORE_MS // 4)
        lan.wire.clear()
    assert lan.balances("card-7") == [1_000, 0]
    assert (lan.passing(), lan.total()) == (700, 1_700)
    lan.wait(10_000)
    lan.run()
    assert lan.balances("card-8") == [0, 700]
    lan.close()


def test_a_clock_that_jumps_back_returns_nothing(hall):
    hall.enroll("card-7", 1_000)
    hall.wall_ms -= YEAR_AND_MORE_MS
    hall.wait(HALF_AN_HOUR_MS)
    assert hall.balance("card-7") == 1_000


def test_at_closing_everything_goes_back_but_what_a_play_holds(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"closing_minute": 1_320})
    hall.step(OfficeLink(up=True))
    for n in range(200):
        hall.step(hall.member(f"card-{n}"), hall.lease(f"card-{n}", 500))
    hall.local = LocalTime(weekday=6, minute=1_319)
    command = the_command(hall.wait(1_000, hall.tap("card-7")))
    assert returned(hall) == []
    hall.local = LocalTime(weekday=6, minute=1_320)
    for _ in range(6):
        hall.wait(1_000)
    assert sum(amount for _why, amount in returned(hall)) == 200 * 500 - 200
    assert {why for why, _amount in returned(hall)} == {"closing"}
    hall.step(hall.delivered(command))
    assert faults_of(hall.store) == []
    hall.store.close()


@pytest.mark.parametrize(
    ("closing", "before", "now", "closes"),
    [
        (0, 1_439, 0, True), (0, 1_439, 2, True), (0, 0, 1, False), (0, 10, 5, False), (1_439, 1_438, 1_439, True),
        (1_440, 1_439, 0, True), (1_440, 1_438, 1_439, False), (-60, 1_379, 1_380, True),
        (1_439, 1_430, 3, True), (1_320, 1_300, 1_299, False), (1_320, 1_321, 1_319, False),
        (1_320, 1_319, 1_319, False),
    ],
)  # fmt: skip
def test_the_closing_minute_is_passed_also_at_midnight_and_not_by_a_clock_that_goes_back(
    tmp_path, closing, before, now, closes
):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"closing_minute": closing})
    hall.step(OfficeLink(up=True))
    hall.enroll("card-7", 500)
    for minute in (before, now):
        hall.local = LocalTime(weekday=6, minute=minute)
        hall.wait(1_000)
    assert returned(hall) == ([("closing", 500)] if closes else [])
    hall.store.close()


def test_a_recall_gives_back_what_no_play_holds(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    hall.step(Recalled(account_of("card-7")), Recalled(account_of("card-7")))
    assert returned(hall) == [("recall", 800)]
    assert hall.balance("card-7") == 0


def test_a_grant_beyond_the_cap_is_taken_and_the_excess_returned_in_the_same_commit(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"lease_cap": 1_000})
    hall.enroll("card-7", 700)
    hall.enroll("card-8", 700)
    assert (hall.balance("card-7"), hall.balance("card-8")) == (700, 300)
    assert returned(hall) == [("over_cap", 400)]
    hall.step(hall.lease("card-8", 700))
    assert hall.balance("card-8") == 300
    hall.store.close()


def test_what_is_put_back_may_not_pass_the_cap_either(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"lease_cap": 1_000})
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.enroll("card-8", 200)
    hall.step(hall.answer(command, "failed"))
    assert hall.balance("card-7") + hall.balance("card-8") == 1_000
    assert returned(hall) == [("over_cap", 200)]
    hall.store.close()


def a_refund_and_a_tap_in_one_step(folder):
    """A hub is full of coins at a machine that is off; a guest's play is refunded as he taps. Return the stake."""
    hall = DeskHall(folder / "full.sqlite3", risk={"lease_cap": 1_000})
    hall.enroll("card-7", 200)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(command))
    hall.step(DeviceIs("coin-2", DeviceState("offline", hall.wall_ms)))
    for _coin in range(10):
        hall.step(hall.coin(lane=2))
    hall.pass_ms(5_000)
    hall.step(hall.acted(Refund(command.id, note="it stuck")), hall.tap("card-7"))
    assert kinds(hall.store).count("Refunded") == 1
    stake = at_stake.at_stake(hall.store, "CNY")
    assert faults_of(hall.store) == []
    hall.store.close()
    return stake


def test_what_is_refunded_beyond_x_h_goes_home_before_a_tap_of_the_same_commit(tmp_path):
    assert a_refund_and_a_tap_in_one_step(tmp_path) == 1_000


def test_a_build_that_returns_a_refund_behind_the_tap_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_keeper, "make_room", lambda _draft: None)
    assert a_refund_and_a_tap_in_one_step(tmp_path) == 1_200


def test_a_cap_that_is_lowered_is_kept_at_once(hall):
    hall.enroll("card-7", 700)
    hall.enroll("card-8", 700)
    hall.step(DocumentArrived("risk", 5, b'{"version":5,"lease_cap":500}'))
    assert hall.balance("card-7") + hall.balance("card-8") == 500


def priced_in(unit, version):
    return DocumentArrived("prices", version, b'{"version":%d,"unit":"%s","rules":[]}' % (version, unit.encode()))


def changes_its_currency(folder):
    """Let 700 of another unit lie at a hub with X_h 500, whose price list then counts in that unit."""
    hall = Hall(folder / "ledger.sqlite3", risk={"lease_cap": 500})
    hall.enroll("card-7", 100)
    hall.step(hall.lease("card-8", 700, unit="HKD"))
    hall.step(priced_in("HKD", 2))
    return hall


def test_the_cap_counts_the_currency_of_the_list_in_force_from_its_first_step_on(tmp_path):
    hall = changes_its_currency(tmp_path)
    assert hall.balance("card-8", "HKD") == 500
    hall.store.close()


def test_a_build_that_goes_on_counting_the_old_currency_is_caught(tmp_path, monkeypatch):
    def switch(draft, document):
        known = draft.site.most_outstanding, draft.site.sheds
        honest(draft, document)
        draft.site.most_outstanding, draft.site.sheds = known

    honest = in_force._switch
    monkeypatch.setattr(in_force, "_switch", switch)
    hall = changes_its_currency(tmp_path)
    assert hall.balance("card-8", "HKD") > 500
    hall.store.close()


def test_a_venue_full_of_money_goes_home_in_slices(hall):
    for n in range(150):
        hall.step(hall.lease(f"card-{n}", 500))
    sums = []
    hall.step(DocumentArrived("risk", 5, b'{"version":5,"lease_cap":1000}'))
    for _step in range(4):
        sums.append(leases.outstanding(hall.store, "CNY"))
        hall.wait(1_000)
    assert sums == [(150 - 64) * 500, (150 - 128) * 500, 1_000, 1_000]
    assert {why for why, _amount in returned(hall)} == {"over_cap"}


def test_what_lies_here_is_known_without_a_look_at_every_lease(hall):
    truth = "SELECT coalesce(sum(granted - committed + released + refunded), 0) FROM leases WHERE unit = 'CNY'"
    assert leases.outstanding(hall.store, "CNY") == 0
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.lease("card-8", 70), hall.lease("card-8", 30, unit="tickets"))
    assert leases.outstanding(hall.store, "CNY") == hall.store.rows(truth)[0][0] == 870
    assert leases.outstanding(hall.store, "tickets") == 30
    hall.step(hall.answer(command, "failed"))
    assert leases.outstanding(hall.store, "CNY") == hall.store.rows(truth)[0][0] == 1_070
    hall.store.execute("BEGIN IMMEDIATE")
    hall.store.execute("UPDATE leases SET committed = committed + 10")
    assert leases.outstanding(hall.store, "CNY") == 1_050
    hall.store.execute("ROLLBACK")
    assert leases.outstanding(hall.store, "CNY") == 1_070


def test_coins_count_towards_what_was_brought_in_until_a_receipt_covers_them(hall):
    hall.step(hall.coin(), hall.coin(position=6))
    assert hall.store.rows("SELECT sum(amount) FROM brought_in") == [(600,)]
    hall.restart()
    hall.step()
    assert hall.store.rows("SELECT sum(amount) FROM brought_in") == [(600,)]


def test_an_epoch_ends_when_nothing_is_open_and_everything_went_back(hall):
    hall.enroll("card-7", 1_000)
    for n in range(150):
        hall.step(hall.lease(f"other-{n}", 10))
    command = the_command(hall.step(hall.tap("card-7")))
    assert logged(hall.step(CloseOrdered(9, "spare"))) == ["close.ignored"]
    assert logged(hall.step(CloseOrdered(1, "spare", "ada"))) == ["till.frozen", "intake.closed"]
    hall.wait(1_000, hall.tap("card-7"))
    assert returned(hall) == []
    hall.restart()
    hall.step(*hall.arrivals())
    hall.step(hall.delivered(command))
    for _ in range(4):
        hall.wait(1_000)
    last = journal_of(hall)[-1]
    assert isinstance(last, EpochClosed)
    assert (last.epoch, last.why, last.staff) == (1, "spare", "ada")
    assert sum(amount for _why, amount in returned(hall)) == 800 + 1_500


def test_behind_the_last_record_nothing_is_written(tmp_path):
    lan = Lan(tmp_path)
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    lan.step(1, CloseOrdered(1, "spare"))
    lan.step(1)
    assert isinstance(journal_of(hall)[-1], EpochClosed)
    before = len(journal_of(hall))
    assert the_view(lan.step(1, hall.tap("card-7"))).reason == "hub_closed"
    lan.step(1, hall.coin(), hall.lease("card-7", 2_000), CloseOrdered(1, "again"))
    effects = lan.step(1, FromPeer(hub_id_of(2), 5, PeerAsk(account_of("card-7"), "CNY")))
    assert PeerNothing(account_of("card-7"), 5) in [getattr(effect, "body", None) for effect in effects]
    lan.step(1, FromPeer(hub_id_of(2), 9, Voucher(account_of("card-7"), 1, 9, 1, (Part("CNY", 50),))))
    hall.restart()
    hall.step(*hall.arrivals(), hall.tap("card-7"))
    hall.wait(60_000)
    assert len(journal_of(hall)) == before
    lan.close()


def test_floors_survive_every_restart_and_only_a_receipt_resets_them(tmp_path):
    """LSE-4: kills between floor sales; the sum of the floors never passes C_h."""
    risk = {"floor_per_credential": 400, "floor_per_hub": 1_000, "ask_ms": 0}
    hall = Hall(tmp_path / "ledger.sqlite3", risk=risk)
    for n in range(6):
        hall.step(hall.member(f"card-{n}", class_="B"))
    sql = "SELECT coalesce(sum(amount), 0), coalesce(max(amount), 0) FROM since_receipt WHERE credential_id <> x''"
    for number in range(count(200)):
        lane = 1 + number % 2
        effects = hall.wait(2_000, hall.tap(f"card-{number % 6}", lane=lane))
        hall.restart()
        hall.step(*hall.arrivals())
        for command in commands(effects):
            hall.step(hall.delivered(command, lane=lane))
        ((sold, by_one),) = hall.store.rows(sql)
        assert sold <= 1_000
        assert by_one <= 400
    assert sold == min(1_000, 200 * count(200))
    assert faults_of(hall.store) == []
    hall.store.close()


def test_an_epoch_does_not_end_over_a_play_that_began_in_the_same_step(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(*hall.arrivals(), hall.tap("card-7"), CloseOrdered(1, "spare")))
    assert not any(isinstance(entry, EpochClosed) for entry in journal_of(hall))
    hall.step(hall.delivered(command))
    last = journal_of(hall)[-1]
    assert isinstance(last, EpochClosed)
    assert kinds(hall.store).count("Captured") == 1


def test_a_restart_in_the_middle_of_a_lowered_cap_goes_on_with_it_and_no_first_guest_waits(hall):
    for n in range(150):
        hall.step(hall.lease(f"other-{n}", 10))
    hall.pass_ms(1_000)
    hall.enroll("card-7", 400)
    hall.step(DocumentArrived("risk", 5, b'{"version":5,"lease_cap":600}'))
    hall.restart()
    effects = hall.step(*hall.arrivals(), hall.tap("card-7"))
    assert len(commands(effects)) == 1
    assert leases.outstanding(hall.store, "CNY") > 600
    hall.step(hall.delivered(the_command(effects)))
    for _ in range(4):
        hall.wait(1_000)
    assert leases.outstanding(hall.store, "CNY") == 600
