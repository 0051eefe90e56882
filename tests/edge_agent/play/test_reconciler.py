"""After a crash: every open authorization gets its named end, and nothing is pulsed twice."""

import pytest

from edge_agent.ledger import authorizations, leases
from edge_agent.ledger.authorizations import AuthorizationRow
from edge_agent.ledger.entries import append_entries, read_tail
from edge_agent.messages import Born, JournalGrew, Log, Show
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import Birth
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Header, Held, Part, Tender, TimeQuality
from tests.support.hall import VENUE_ID, Hall, account_of, commands, credential_of, logged, the_command, views
from tests.support.ledger_truth import balance_of, faults_of, kinds, states


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def put_a_hold_without_a_command(hall: Hall) -> bytes:
    """Write what a later release may leave behind: HELD and nothing after it."""
    key = bytes.fromhex("0198a0000000700080000000000000aa")
    store, tail = hall.store, read_tail(hall.store)
    header = Header(
        tail.seq + 1, hall.wall_ms, hall.boot_id, hall.boottime_ms, TimeQuality.SYNCED, hall.business_date, Actor.GUEST,
        Tender.PURSE, VENUE_ID, "hall", "racer-1", "lane-1", key,
    )  # fmt: skip
    account = account_of("card-7")
    parts, card = (Part("CNY", 200, 1),), credential_of("card-7")
    held = Held(1, header, parts, account, card, "C", "reader-1", 1, 1, hall.wall_ms)
    store.execute("BEGIN IMMEDIATE")
    append_entries(store, tail, [held])
    authorizations.insert(store, AuthorizationRow(key, State.HELD, "reader-1", 1, 1, hall.wall_ms, tail.seq + 1))
    row = leases.of_account(store, account)[0]
    leases.commit_part(store, row, 200, now_ms=0)
    store.commit()
    return key


def test_a_hold_that_was_never_sent_is_given_back(hall):
    key = put_a_hold_without_a_command(hall)
    assert hall.balance("card-7") == 800
    hall.restart()
    effects = hall.step()
    assert (states(hall.store), logged(effects)) == ({key: State.EXPIRED}, ["till.reconciling"])
    assert (hall.balance("card-7"), kinds(hall.store)[-1]) == (1_000, "Expired")


def test_a_command_without_an_answer_is_asked_about_when_its_bridge_is_there(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    hall.restart()
    effects = hall.step()
    assert [view.state for view in views(effects)] == ["idle"], "only the other lane shows its price again"
    assert effects[1:] == [Log("till.reconciling", {"open": 1}), JournalGrew(4)]
    effects = hall.step(*hall.arrivals())
    asked = the_command(effects)
    assert (asked.id, asked.seq, asked.ttl_ms, asked.boot_id) == (command.id, command.seq, 0, command.boot_id)
    hall.step(hall.answer(asked, "done"))
    assert states(hall.store) == {uuid_bytes(command.id): State.CAPTURED}


def test_a_bridge_that_stays_away_leaves_a_doubt_that_it_settles_later(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    hall.restart()
    hall.step()
    assert hall.till.outstanding == 1
    hall.wait(10_000)
    assert balance_of(hall.store, Kind.SUSPENSE) == 200
    hall.restart()
    asked = the_command(hall.step(*hall.arrivals()))
    hall.step(hall.answer(asked, "refused"))
    assert states(hall.store) == {uuid_bytes(command.id): State.VOIDED}
    assert hall.balance("card-7") == 1_000


def test_a_doubt_is_asked_about_each_time_its_bridge_is_born(hall):
    hall.step(hall.tap("card-7"))
    hall.wait(10_000)
    for boot in ("b5", "b6"):
        effects = hall.step(Born("coin-1", Birth("p", 1, boot, "bridge-1")))
        assert [(command.ttl_ms, command.boot_id) for command in commands(effects)] == [(0, "boot-1")]
    assert not any(isinstance(effect, Show) for effect in hall.effects)


def test_what_is_finished_is_left_alone(hall):
    hall.step(hall.delivered(the_command(hall.step(hall.tap("card-7")))))
    hall.restart()
    assert hall.step(*hall.arrivals())[2:] == [JournalGrew(5)], "behind the prices of two idle lanes"
    assert hall.step() == []


def test_command_seqs_rise_over_restarts(hall):
    first = the_command(hall.step(hall.tap("card-7")))
    hall.restart()
    hall.step(*hall.arrivals())
    assert the_command(hall.wait(1_000, hall.tap("card-7"))).seq > first.seq
