"""The floor is for when nobody can be asked, and each card owes what it took until the office has settled it."""

import pytest

from edge_agent.ledger import floor_debts
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import AskLease, BatchSealed, FoundElsewhere, LeaseArrived, OfficeLink, Recalled, ReceiptTaken
from edge_agent.tap import tap_facts
from payment_core.journal import TimeQuality
from tests.support.hall import PRICE, Hall, account_of, commands, views
from tests.support.ledger_truth import faults_of
from tests.support.person_desk import PersonHall


class FloorHall(Hall):
    """A hall with a floor, and an office that may answer."""

    batches = 0
    heard = True
    """Whether the office's receipts arrive."""

    def receipt(self):
        last = read_tail(self.store).seq
        acked = self.store.rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0]
        if last > acked:
            self.batches += 1
            self.step(
                BatchSealed(self.batches, acked + 1, last - acked, bytes(32), b"s"), ReceiptTaken(self.batches, last)
            )

    def try_to_play(self, *answers):
        """Tap; the office gives its answers or is silent. True: it played; else why not."""
        effects = [*self.wait(2_000, self.tap("poor")), *self.step(*answers), *self.wait(400)]
        for command in commands(effects):
            self.step(self.delivered(command))
        if self.heard:
            self.receipt()
        return bool(commands(effects)) or views(effects)[-1].reason


@pytest.fixture
def hall(tmp_path):
    hall = FloorHall(tmp_path / "ledger.db", risk={"floor_per_credential": 2 * PRICE, "floor_per_hub": 5 * PRICE})
    hall.step(hall.member("poor", class_="B"), OfficeLink(up=True))
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


NOTHING = LeaseArrived(account_of("poor"), "CNY", 1, 0)


def test_an_empty_account_plays_on_no_floor_while_the_office_answers(hall):
    assert [hall.try_to_play(NOTHING) for _ in range(5)] == ["not_enough"] * 5


def test_an_office_that_is_silent_lets_the_floor_in_once_and_no_receipt_makes_room(hall):
    assert [hall.try_to_play() for _ in range(6)] == [True, True, *["offline_limit"] * 4]
    hall.restart()
    hall.step(*hall.arrivals())
    assert hall.try_to_play() == "offline_limit"


def test_an_office_that_owes_one_answer_and_gives_others_is_not_silent(hall):
    hall.step(hall.member("elsewhere", class_="B"), hall.member("other"))
    hall.wait(2_000, hall.tap("elsewhere"))
    hall.wait(100, hall.lease("other", 10))
    assert views(hall.wait(250))[-1].state == "held", "his own answer did not come in time"
    hall.step(hall.tap("poor", lane=2))
    assert hall.till.outstanding, "the office is waited for"


def test_an_account_whose_money_is_on_its_way_plays_on_no_floor_and_is_asked_for_again(hall):
    coming = FoundElsewhere(account_of("poor"), coming=True)
    assert [hall.try_to_play(coming) for _ in range(3)] == ["not_enough"] * 3
    assert hall.try_to_play(coming, hall.lease("poor", PRICE)) is True


def test_one_whose_money_lies_where_nobody_hears_of_it_plays_on_the_floor_at_once(hall):
    hall.wait(2_000, hall.tap("poor"))
    effects = hall.step(FoundElsewhere(account_of("poor"), coming=False))
    assert commands(effects)
    assert not hall.till.outstanding or views(effects)[-1].state == "held"


def test_who_taps_again_and_again_while_it_is_on_its_way_is_asked_for_anew(hall):
    hall.wait(2_000, hall.tap("poor"))
    hall.step(FoundElsewhere(account_of("poor"), coming=True))
    hall.wait(200, hall.tap("poor", lane=2))
    assert {view.reason for view in views(hall.wait(150)) if view.state == "declined"} == {"not_enough"}
    assert AskLease(account_of("poor")) in hall.step(hall.tap("poor"))


def test_a_second_tap_waits_with_the_first_although_the_office_fell_silent_for_another(hall):
    hall.step(hall.member("other", class_="B"))
    hall.wait(2_000, hall.tap("other"))
    hall.wait(200, hall.tap("poor"))
    hall.wait(150)  # the other's time is over
    effects = hall.step(hall.tap("poor", lane=2), NOTHING)
    assert commands(effects) == []
    assert {view.reason for view in views(effects) if view.state == "declined"} == {"not_enough"}


def test_an_office_that_comes_back_is_waited_for_again(hall):
    hall.step(hall.member("other", class_="B"))
    hall.wait(2_000, hall.tap("other"))
    assert views(hall.wait(350))[-1].state == "held"
    hall.step(OfficeLink(up=True))
    assert commands(hall.step(hall.tap("poor", lane=2))) == []
    assert views(hall.step(NOTHING))[-1].reason == "not_enough"


def test_the_hubs_own_sum_begins_anew_with_a_receipt(hall):
    for n in range(8):
        hall.step(hall.member(f"poor-{n}", class_="B"))
        effects = [*hall.wait(2_000, hall.tap(f"poor-{n}")), *hall.wait(400)]
        assert commands(effects), n
        hall.step(hall.delivered(commands(effects)[0]))
        hall.receipt()


def test_money_from_the_office_settles_what_a_card_owes(hall):
    assert [hall.try_to_play() for _ in range(3)] == [True, True, "offline_limit"]
    hall.step(hall.lease("poor", PRICE))
    assert hall.try_to_play() is True
    hall.step(hall.lease("poor", PRICE, unit="bonus"))
    assert hall.store.rows("SELECT count(*) FROM floor_debts") == [(0,)]


def plays_around_a_grant(hall):
    """Return what became of taps before and behind a grant that was made before the office had heard of any sale."""
    hall.heard = False
    played = [hall.try_to_play() for _ in range(3)]
    hall.step(hall.lease("poor", PRICE), Recalled(account_of("poor")))
    return played, hall.try_to_play()


def test_a_grant_makes_no_room_on_the_floor_before_a_receipt(hall):
    assert plays_around_a_grant(hall) == ([True, True, "offline_limit"], "offline_limit")
    hall.receipt()
    assert hall.try_to_play() is True


def test_a_build_that_lets_a_grant_settle_what_the_office_has_not_heard_of_is_caught(hall, monkeypatch):
    monkeypatch.setattr(tap_facts, "_on_floor", lambda draft, card: floor_debts.owed(draft.store, card))
    assert plays_around_a_grant(hall)[1] is True


def test_a_card_owes_until_the_day_is_over_by_a_clock_that_is_trusted(hall):
    assert [hall.try_to_play() for _ in range(3)] == [True, True, "offline_limit"]
    hall.quality = TimeQuality.NONE
    hall.business_date += 1
    assert hall.try_to_play() == "offline_limit"
    hall.quality = TimeQuality.SYNCED
    assert hall.try_to_play() == "offline_limit", "the receipt of the new day settles it"
    assert hall.try_to_play() is True


@pytest.fixture
def guest_with_a_finger(tmp_path):
    """A hub that learned a guest's finger beside his bare number, and nobody who can be asked."""
    hall = PersonHall(tmp_path / "ledger.db", risk={"floor_per_credential": PRICE, "floor_per_hub": 5 * PRICE})
    hall.enroll("card-7")
    hall.finger = hall.enrolled(page=3)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def plays_by_finger(hall):
    effects = [*hall.touch(3), *hall.wait(1_000)]
    return bool(commands(effects)) or views(effects)[-1].reason


def test_a_finger_learned_here_plays_on_no_floor_before_the_office_lists_it(guest_with_a_finger):
    hall = guest_with_a_finger
    assert plays_by_finger(hall) == "offline_limit", "who may play without money is for the office to say"
    hall.step(hall.listed(hall.finger, "card-7", "active"))
    assert plays_by_finger(hall) is True


def test_a_finger_learned_here_spends_its_owners_money_at_once(guest_with_a_finger):
    guest_with_a_finger.step(guest_with_a_finger.lease("card-7", PRICE))
    assert plays_by_finger(guest_with_a_finger) is True


def test_a_build_that_lets_an_unlisted_finger_on_the_floor_is_caught(guest_with_a_finger, monkeypatch):
    monkeypatch.setattr(tap_facts.office_facts, "list_row", lambda _store, _card: "listed")
    assert plays_by_finger(guest_with_a_finger) is True
