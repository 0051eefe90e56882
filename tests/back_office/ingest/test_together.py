"""Several batches in one transaction: one poisoned, one overtaken, a server that goes away: each in once."""

import contextlib
import sqlite3
import threading
import time

import pytest

from back_office.ingest.hub_books import HubBooks
from back_office.store import books, chains, transactions
from back_office.store.books import AccountName
from back_office.store.faults import (
    StoreConflictError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    StoreUnknownError,
)
from back_office.store.transactions import Store
from cloud_sync import receiver
from cloud_sync.protocol.topics import hub_topic
from payment_core.accounts import Kind
from payment_core.journal import Cause, CoinBooked, Held, Part, Voided
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT, leaves

DEADLINE_S = 20


def coin(pen, seq, amount=100):
    pen.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, seq, seq, 1, "CNY", amount))
    return pen.batch()


def greet(office, *pens):
    for pen in pens:
        office.worker.on_message(*pen.hello())


def together(office, *sent):
    return office.worker.on_messages([(pen.batch_topic, data) for pen, data in sent])


def booked(office, hub_id=HUB):
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, hub_id, stream=0, epoch=1)
    return chain.batch_seq if chain is not None else 0


def writes(office, monkeypatch):
    """Count the transactions that write."""
    begun = []
    real = Store._open

    def counted(store, begin, *, beside=False, keeps=True):
        begun.extend([begin] * keeps)
        return real(store, begin, beside=beside, keeps=keeps)

    monkeypatch.setattr(Store, "_open", counted)
    return begun


@pytest.fixture
def two(office):
    other = office.enroll(OTHER_HUB, "foyer")
    greet(office, office.hub, other)
    return office, office.hub, other


def test_batches_of_several_hubs_are_one_transaction_and_each_hub_has_one_receipt(two, monkeypatch):
    office, hub, other = two
    sent = [(hub, coin(hub, 1)), (other, coin(other, 1)), (hub, coin(hub, 2)), (hub, coin(hub, 3))]
    begun = writes(office, monkeypatch)
    handled = together(office, *sent)
    assert len(begun) == 1
    assert leaves(handled.letters) == ["receipt"] * 2
    assert (booked(office), booked(office, OTHER_HUB), handled.refusals) == (3, 1, ())
    assert office.prove().ok


def test_a_transaction_has_so_many_entries_and_no_more(two, monkeypatch):
    office, hub, other = two
    monkeypatch.setattr(receiver, "TOGETHER_ENTRIES", 3)  # the first batch of a hub has two
    sent = [(hub, coin(hub, 1)), (other, coin(other, 1)), (hub, coin(hub, 2)), (hub, coin(hub, 3))]
    begun = writes(office, monkeypatch)
    handled = together(office, *sent)
    assert (len(begun), booked(office), booked(office, OTHER_HUB), handled.refusals) == (2, 3, 1, ())


def test_what_waited_behind_a_gap_joins_and_what_is_known_is_answered(two):
    office, hub, _ = two
    first, second, third = coin(hub, 1), coin(hub, 2), coin(hub, 3)
    handled = together(office, (hub, third), (hub, first), (hub, first), (hub, second))
    assert (booked(office), handled.refusals) == (3, ())
    assert office.prove().ok


def test_what_is_carried_for_a_hub_is_judged_behind_its_own_batch_in_the_same_turn(two):
    office, hub, other = two
    own, carried = coin(hub, 1), coin(hub, 2)
    topic = hub_topic(other.identity.hub_id, "up", "carried")
    handled = office.worker.on_messages([(hub.batch_topic, own), (topic, carried)])
    assert leaves(handled.letters) == ["receipt", "receipt", "command"], "asked for nothing again; the carrier is told"
    assert (booked(office), handled.letters[2].topic) == (2, hub_topic(OTHER_HUB, "down", "command"))


def test_a_batch_that_is_poison_takes_no_other_with_it(two):
    office, hub, other = two
    poison = coin(other, 1, amount=2**60)
    handled = together(office, (hub, coin(hub, 1)), (other, poison), (hub, coin(hub, 2)))
    assert [refusal.reason for refusal in handled.refusals] == ["parked"]
    assert (booked(office), booked(office, OTHER_HUB)) == (2, 0)
    assert [kind for kind, _ in office.alarms()] == ["parked"]
    together(office, (hub, coin(hub, 3)), (other, poison))
    assert (booked(office), [kind for kind, _ in office.alarms()]) == (3, ["parked"])
    assert office.prove().ok


def too_much(tx):
    """Ask with more values than a statement may have: a server's driver does not even send it."""
    if tx.is_sqlite:
        tx._connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 8)
    names = transactions.sa.bindparam("names", expanding=True)
    query = transactions.sa.select(transactions.sa.literal(1)).where(transactions.sa.literal(1).in_(names))
    tx.execute(query, {"names": list(range(9 if tx.is_sqlite else 2**16))})


@pytest.fixture
def too_much_of_the_other(two, monkeypatch):
    real = books.add_postings

    def add_postings(tx, tenant_id, rows):
        if any(row.hub_id == OTHER_HUB for row in rows):
            too_much(tx)
        real(tx, tenant_id, rows)

    monkeypatch.setattr(books, "add_postings", add_postings)
    return two


@pytest.mark.long
def test_a_batch_of_which_a_statement_grows_too_long_takes_no_other_with_it(too_much_of_the_other):
    office, hub, other = too_much_of_the_other
    handled = together(office, (hub, coin(hub, 1)), (other, coin(other, 1)), (hub, coin(hub, 2)))
    assert [refusal.reason for refusal in handled.refusals] == ["parked"]
    assert (booked(office), booked(office, OTHER_HUB)) == (2, 0)
    assert [kind for kind, _ in office.alarms()] == ["parked"]
    assert office.prove().ok


@pytest.mark.long
def test_a_build_that_takes_such_a_statement_for_an_outage_is_caught(too_much_of_the_other, monkeypatch):
    office, hub, other = too_much_of_the_other
    monkeypatch.setattr(transactions, "_refused", transactions._unavailable)
    with pytest.raises(StoreUnavailableError):
        together(office, (hub, coin(hub, 1)), (other, coin(other, 1)))
    assert booked(office) == 0


OURS = {
    "an index that is gone": "SELECT 1 FROM hubs INDEXED BY nowhere",
    "a table that is gone": "SELECT 1 FROM nowhere",
    "what the driver gives no code": None,
}


@pytest.fixture(params=OURS)
def broken(two, request, monkeypatch):
    """An office that finds its database wrong in the middle of each batch."""
    office, statement = two[0], OURS[request.param]

    def move_on(_books, tx, _batch, _now_ms):
        if statement is None or not office.store._is_sqlite:  # a server names each of the others
            raise office.store._faults.OperationalError(request.param)
        tx.execute(transactions.sa.text(statement))

    monkeypatch.setattr(HubBooks, "_move_on", move_on)
    return two


def test_what_is_wrong_with_the_database_itself_parks_nobodys_batch(broken, monkeypatch):
    office, hub, other = broken
    data, others = coin(hub, 1), coin(other, 1)
    with pytest.raises(StoreUnavailableError):
        office.take(data)
    assert (office.alarms(), booked(office)) == ([], 0)
    monkeypatch.undo()
    together(office, (hub, data), (other, others))
    assert (office.alarms(), booked(office), booked(office, OTHER_HUB)) == ([], 1, 1)


def test_a_build_that_refuses_for_its_own_fault_is_caught(broken, monkeypatch):
    monkeypatch.setattr(transactions, "_TOO_MUCH", ("",))
    assert [refusal.reason for refusal in broken[0].take(coin(broken[1], 1)).refusals] == ["parked"]


def played(office, number, account, payments):
    """Spend all of a guest's money at the hub; return what takes it back."""
    for payment in payments:
        office.top_up(100, account=account, payment=payment)
    office.lease(account=account)
    parts = tuple(Part("CNY", 100, 1, office.lot(payment)) for payment in payments)
    tap = (account, bytes(16), "C", "reader-1", 1, number, 0)
    office.hub.write(lambda header: Held(1, header, parts, *tap), authorization=number)
    return lambda: office.hub.write(
        lambda header: Voided(1, header, parts, account, Cause.DEVICE), authorization=number
    )


@pytest.mark.long
def test_what_is_asked_for_in_several_statements_is_all_there(two, monkeypatch):
    monkeypatch.setattr(books, "_AT_ONCE", 1)
    monkeypatch.setattr(books, "_LOTS_AT_ONCE", 1)
    office, hub, other = two
    voids = [played(office, 1, GUEST, ["first", "second"]), played(office, 2, OTHER_GUEST, ["third"])]
    office.take(hub.batch())
    assert (office.left(), office.left(account=OTHER_GUEST)) == (0, 0)
    for void in voids:  # who names these lots sees them, nobody else
        void()
    together(office, (hub, hub.batch()), (other, coin(other, 1)))
    assert (office.alarms(), booked(office), booked(office, OTHER_HUB)) == ([], 2, 1)
    assert (office.left(), office.left(account=OTHER_GUEST)) == (200, 100)
    assert office.prove().ok


@pytest.mark.parametrize(("lots", "statements"), [(1, 3), (400, 13), (1_500, 43)])
def test_lots_are_asked_for_with_their_account_and_no_statement_grows_with_them(lots, statements):
    named = {bytes([number]): {number * 10_000 + lot for lot in range(lots)} for number in range(20)}
    named |= {number.to_bytes(4, "big"): () for number in range(1_000)}
    asked = [(set(accounts), set(of)) for accounts, of in books.named_chunks(named)]
    assert all(len(accounts) <= 500 and len(of) <= 1_000 for accounts, of in asked)
    assert len(asked) <= statements
    for account, of in named.items():
        assert set(of) <= set().union(*(lots for accounts, lots in asked if account in accounts))
        assert any(account in accounts for accounts, _ in asked)


def test_a_hub_that_its_first_batch_freezes_has_its_second_kept_and_not_booked(two):
    office, hub, other = two
    office.top_up(500)
    office.lease()
    hub.held(900)
    first = hub.batch()
    handled = together(office, (hub, first), (hub, coin(hub, 1)), (other, coin(other, 1)))
    assert (office.frozen(), booked(office), booked(office, OTHER_HUB)) == ("overclaim", 1, 1)
    with office.store.reading() as tx:
        assert [kept.kind for kept in chains.evidence(tx, TENANT)] == ["parked"]
    assert handled.refusals == ()


def answer_lost(monkeypatch, *, kept):
    """Let the next commit's answer be lost; `kept`: the server did it."""
    real, lost = Store._commit, []

    def commit(store, driver):
        if lost:
            return real(store, driver)
        lost.append(1)
        if kept:
            real(store, driver)
        message = "gone"
        raise StoreUnknownError(message)

    monkeypatch.setattr(Store, "_commit", commit)
    return lost


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_whose_answer_is_lost_is_asked_about(two, monkeypatch, kept):
    office, hub, other = two
    sent = [(hub, coin(hub, 1)), (other, coin(other, 1))]
    lost = answer_lost(monkeypatch, kept=kept)
    handled = together(office, *sent)
    assert lost
    assert leaves(handled.letters) == ["receipt"] * 2
    assert (booked(office), booked(office, OTHER_HUB), office.alarms()) == (1, 1, [])
    proof = office.prove()
    assert (proof.ok, proof.duplicates) == (True, 0)


def late_mark(monkeypatch):
    """The mutant: the watermark moves in a transaction of its own, behind the one that books."""
    waiting = []
    moved, together_ = HubBooks._move_on, HubBooks.apply_together
    monkeypatch.setattr(HubBooks, "_move_on", lambda _self, _tx, batch, now_ms: waiting.append((batch, now_ms)))

    def apply_together(self, batches):
        outcomes = together_(self, batches)
        with self._store.writing() as tx:
            for batch, now_ms in waiting:
                moved(self, tx, batch, now_ms)
        waiting.clear()
        return outcomes

    monkeypatch.setattr(HubBooks, "apply_together", apply_together)


def dies_after_its_commit(office, monkeypatch, data):
    """Kill the worker when a batch is booked and nothing more was done; return what the next one answers."""

    class KilledError(BaseException):
        pass

    real = Store.write

    def write(store, work, *fences):
        real(store, work, *fences)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", write)
        with pytest.raises(KilledError):
            office.take(data)
    office.start()
    return leaves(office.take(data).letters)


def test_a_worker_killed_behind_its_commit_has_the_watermark_too(two, monkeypatch):
    office, hub, _ = two
    assert dies_after_its_commit(office, monkeypatch, coin(hub, 1)) == ["receipt"]
    assert office.alarms() == []


def test_a_build_whose_watermark_is_outside_the_transaction_is_caught(two, monkeypatch):
    office, hub, _ = two
    late_mark(monkeypatch)
    assert dies_after_its_commit(office, monkeypatch, coin(hub, 1)) == []
    assert office.alarms() != []


# ---- a server only ----


def waits_for_a_lock(office):
    with office.store.reading() as tx:
        found = tx.execute(transactions.sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return bool(found.scalar())


def taken_first(office, data):
    """Open an account under the number that the batch is about to take, and commit when the batch waits for it."""
    outcome = []
    with office.store.beside() as tx:
        books.account_numbers(tx, TENANT, [AccountName(Kind.REVENUE, "elsewhere", b"")])
        thread = threading.Thread(target=lambda: outcome.append(office.take(data)))
        thread.start()
        until = time.monotonic() + DEADLINE_S
        while not waits_for_a_lock(office) and time.monotonic() < until:
            time.sleep(0.005)
    thread.join()
    return outcome[0]


def raced(office):
    greet(office, office.hub)
    return leaves(taken_first(office, coin(office.hub, 1)).letters)


@pytest.fixture
def on_a_server(office, database):
    if database == "sqlite":
        return None
    return office


def test_a_number_that_another_took_first_parks_nothing(on_a_server):
    if on_a_server is None:
        return  # SQLite lets one writer in at a time
    assert raced(on_a_server) == ["receipt"]
    assert on_a_server.alarms() == []
    assert on_a_server.prove().ok


def test_a_build_that_parks_for_a_number_that_is_taken_is_caught(on_a_server, monkeypatch):
    """The mutant: a conflict is the batch's fault."""
    if on_a_server is None:
        return
    blamed = transactions._by_state

    def by_state(error, *, beside):
        fault = blamed(error, beside=beside)
        return StoreRefusedError(str(fault)) if isinstance(fault, StoreConflictError) else fault

    def no_second_look(self, batch):
        try:
            return self._store.write(lambda tx: self._apply(tx, batch))
        except StoreRefusedError as error:
            self.park(batch.hub_id, str(error), batch.data)
            return "parked"

    monkeypatch.setattr(transactions, "_by_state", by_state)
    monkeypatch.setattr(HubBooks, "_apply_alone", no_second_look)
    assert raced(on_a_server) == []
    assert [kind for kind, _ in on_a_server.alarms()] == ["parked"]


def backend(tx):
    return tx.execute(transactions.sa.text("SELECT pg_backend_pid()")).scalar()


def backends_around_a_fault(office, code):
    """Return which backend a transaction had that ended with a fault, and which the next one has."""
    office.store._engine.dispose()
    with contextlib.suppress(StoreError), office.store.beside() as tx:
        before = backend(tx)
        tx.execute(transactions.sa.text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))
    with office.store.reading() as tx:
        return before, backend(tx)


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03", "57014"])
def test_a_conflict_costs_no_connection(on_a_server, code):
    if on_a_server is None:
        return  # a file's costs nothing
    before, after = backends_around_a_fault(on_a_server, code)
    assert before == after


def test_a_build_that_throws_its_connection_away_is_caught(on_a_server, monkeypatch):
    if on_a_server is None:
        return
    monkeypatch.setattr(Store, "_is_alive", lambda _store, _driver: False)
    before, after = backends_around_a_fault(on_a_server, "40001")
    assert before != after


def test_a_backend_that_is_killed_in_a_batch_loses_and_doubles_nothing(on_a_server, monkeypatch):
    if on_a_server is None:
        return
    office = on_a_server
    greet(office, office.hub)
    data = coin(office.hub, 1)
    real, killed = HubBooks._move_on, []

    def move_on(self, tx, batch, now_ms):
        real(self, tx, batch, now_ms)
        if not killed:
            killed.append(backend(tx))
            with office.store.reading() as other:  # the mild way: the server would end everybody's connections else
                other.execute(transactions.sa.text(f"SELECT pg_terminate_backend({killed[0]})"))

    monkeypatch.setattr(HubBooks, "_move_on", move_on)
    for _ in range(2):  # that it is gone may be noticed by a statement, or by the commit, which is asked about
        with contextlib.suppress(StoreUnavailableError):
            assert leaves(office.take(data).letters) == ["receipt"]
    assert (len(killed), booked(office), office.alarms()) == (1, 1, [])
    proof = office.prove()
    assert (proof.ok, proof.duplicates) == (True, 0)
