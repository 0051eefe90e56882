"""A play beside its usual way: more is put aside under it, and a hold that nobody was told of is given up."""

from contextlib import contextmanager

import msgspec
import pytest

from edge_agent.ledger import authorizations, leases
from edge_agent.ledger.authorizations import AuthorizationRow
from edge_agent.ledger.entries import read_tail
from edge_agent.play import plays
from edge_agent.play.plays import Why
from edge_agent.step.draft import Draft
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.desk import Cancel, Refund
from payment_core.errors import IllegalStepError
from payment_core.identifiers import uuid_bytes, uuid_text
from payment_core.journal import Actor, Cause, Held, Part, Tender, Voided
from payment_core.lease import LeaseStep
from tests.support.desk import DeskHall
from tests.support.hall import account_of, credential_of, the_command, the_view
from tests.support.ledger_truth import balance_of, entries, faults_of, states

MORE = (Part("CNY", 100, 1),)


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


@contextmanager
def drafted(hall):
    """Write one step by hand, then start the till again, which reads where the journal ends."""
    hall.store.execute("BEGIN IMMEDIATE")
    site = hall.till._site
    draft = Draft(store=hall.store, site=site, now=hall.moment(), tail=read_tail(hall.store), dice=bytes)
    yield draft
    draft.flush()
    hall.store.commit()
    hall.restart()
    hall.step(*hall.arrivals())


def increase(hall, authorization, parts=MORE):
    with drafted(hall) as draft:
        row = authorizations.by_id(hall.store, authorization)
        leases.move_parts(hall.store, account_of("card-7"), parts, LeaseStep.COMMIT)
        plays.increase(draft, draft.load(row), parts)


def loaded(hall, authorization):
    return authorizations.load(hall.store, authorizations.by_id(hall.store, authorization))


def test_a_part_of_a_play_is_rounded_once_per_unit_however_many_lots_pay(hall):
    play = uuid_bytes(the_command(hall.step(hall.tap("card-7"))).id)
    parts = (Part("CNY", 49, 1, b"a"), Part("CNY", 151, 1, b"b"), Part("bonus", 1, 1))
    earned, back = plays.split_parts(msgspec.structs.replace(loaded(hall, play), parts=parts, credits=2), 1)
    assert sum(part.amount for part in earned if part.unit == "CNY") == 100
    assert sum(part.amount for part in back) == 101, "the halved bonus is the guest's"


def test_what_was_put_on_top_is_earned_and_refunded_with_the_rest(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    key = uuid_bytes(command.id)
    increase(hall, key)
    increase(hall, key, (Part("CNY", 50, 1),))
    assert loaded(hall, key).parts == (Part("CNY", 350, 1),)
    hall.step(hall.delivered(command))
    assert (balance_of(hall.store, Kind.REVENUE, "racer-1"), hall.balance("card-7")) == (350, 650)
    assert hall.act(Refund(command.id)).amount == 350
    assert hall.balance("card-7") == 1_000


def test_what_was_put_on_top_goes_through_a_doubt_and_back(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    increase(hall, uuid_bytes(command.id))
    hall.step(hall.answer(command, "unknown"))
    assert balance_of(hall.store, Kind.SUSPENSE) == 300
    hall.step(hall.answer(command, "failed"))
    assert hall.balance("card-7") == 1_000


def test_nothing_is_put_on_top_of_what_ended(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(command))
    row = loaded(hall, uuid_bytes(command.id))
    hall.store.execute("BEGIN IMMEDIATE")
    with pytest.raises(IllegalStepError, match="captured cannot take the step increase"):
        authorizations.increase(hall.store, row, seq=99)
    hall.store.execute("ROLLBACK")


def put_a_hold_without_a_command(hall):
    key = bytes.fromhex("0198a0000000700080000000000000aa")
    hall.store.execute("BEGIN IMMEDIATE")
    draft = Draft(store=hall.store, site=hall.till._site, now=hall.moment(), tail=read_tail(hall.store), dice=bytes)
    parts, lane = (Part("CNY", 200, 1),), draft.site.lanes["lane-1"]
    header = draft.header(plays.Spot(Actor.GUEST, Tender.PURSE, lane, key))
    card, account = credential_of("card-7"), account_of("card-7")
    draft.journal(Held(1, header, parts, account, card, "C", "reader-1", 1, 1, hall.wall_ms))
    row = AuthorizationRow(key, State.HELD, "reader-1", 1, 1, hall.wall_ms, header.seq)
    authorizations.insert(hall.store, row)
    leases.move_parts(hall.store, account, parts, LeaseStep.COMMIT)
    draft.flush()
    plays.cancel(draft, draft.load(row), Why(Cause.STAFF, "lin", "guest went home"))
    draft.flush()
    hall.store.commit()
    hall.restart()
    hall.step(*hall.arrivals())
    return key


def test_a_hold_that_no_device_was_told_of_is_given_up(hall):
    key = put_a_hold_without_a_command(hall)
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Voided)
    assert (entry.staff, entry.cause, entry.from_doubt) == ("lin", Cause.STAFF, False)
    assert (states(hall.store), hall.balance("card-7")) == ({key: State.VOIDED}, 1_000)
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).put_back == 200


def test_what_a_machine_was_told_is_not_given_up(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    assert hall.act(Cancel(command.id)).reason == "not_held"
    assert hall.act(Cancel(uuid_text(bytes(16)))).reason == "unknown_authorization"
    hall.step(hall.delivered(command))
