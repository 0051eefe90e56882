"""Money between two cells: on its way or in one of them, never in both, whatever dies; no build that cheats passes."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import sqlalchemy as sa

from back_office.ledger import cells, going_back
from back_office.ledger.cell_proof import cell_faults
from back_office.ledger.cells import SendOut, clearing_of_cells, clearing_sum, name_cells, relay, send_out
from back_office.ledger.counter import Done, PayOut, Refused, Reversal, pay_out, reverse
from back_office.ledger.gifts_sent import Gifts
from back_office.ledger.terms import GiftStep, TopUpTerms, keep_terms
from back_office.store import cells as rows
from back_office.store import lots, papers, people
from back_office.store.faults import StoreError
from back_office.store.people import GuestAccount
from back_office.store.transaction import Transaction
from back_office.store.transactions import Store
from payment_core.journal import LotKind
from tests.back_office.world import GUEST, TENANT, WALL_MS, Office

pytestmark = pytest.mark.long
MOST_STEPS = 200
NEW_GUEST = bytes.fromhex("019399a0000070008000000000000009")


@pytest.fixture
def pair(tmp_path, office, database, request):
    """Two cells, `north` and `south`, of one tenant; a guest of the north has 1,000."""
    (tmp_path / "south").mkdir()
    url = "" if database == "sqlite" else _second_url(request)
    south = Office(tmp_path / "south", url)
    for one, own, other in ((office, "north", "south"), (south, "south", "north")):
        with one.store.writing() as tx:
            assert name_cells(one.desk(tx), own, [other]) is None
    office.top_up(1_000)
    yield office, south
    south.store.close()


def _second_url(request):
    databases = request.getfixturevalue("postgres_databases")
    return databases.new(request.getfixturevalue("founded_database"))


def send(office, amount=None, *, number=1, account=GUEST, unit="CNY", to="south"):
    wish = SendOut(send_id=bytes([number]) * 16, account_id=account, unit=unit, to_cell=to, by="ann", amount=amount)
    with office.store.writing() as tx:
        return send_out(office.desk(tx), wish)


def bring(source, target):
    return relay(source.store, target.store, at_source=source.desk, at_target=target.desk)


def on_its_way(*offices):
    return clearing_sum([office.store for office in offices], TENANT)


def faults(*offices):
    found = []
    for office in offices:
        with office.store.reading() as tx:
            found += [f"{wrong.table}: {wrong.text}" for wrong in cell_faults(tx, TENANT)]
    return found


def proven(*offices):
    return all(office.prove().ok for office in offices) and faults(*offices) == []


def test_money_leaves_one_cell_and_comes_to_the_other_once(pair):
    north, south = pair
    assert isinstance(send(north, 300), Done)
    assert (north.purse(), south.purse()) == (700, 0)
    assert on_its_way(north, south) == {"CNY": -300}
    done = bring(north, south)
    assert (done.taken, done.again, done.refused) == (1, 0, [])
    assert (north.purse(), south.purse()) == (700, 300)
    assert on_its_way(north, south) == {}
    assert (bring(north, south).taken, bring(south, north).taken) == (0, 0)
    with south.store.reading() as tx:
        assert clearing_of_cells(tx, TENANT) == {("north", "CNY"): 300}
    assert proven(north, south)


def test_lots_are_the_same_there_and_what_comes_back_goes_to_them(pair):
    north, south = pair
    send(north)
    bring(north, south)
    with north.store.reading() as here, south.store.reading() as there:
        (before,) = lots.lots(here, TENANT).items()
        (after,) = lots.lots(there, TENANT).items()
    assert before[0] == after[0]
    assert before[1].facts(b"") == after[1].facts(b"")
    assert after[1].kind == LotKind.PAID
    send(south, 400, to="north")
    bring(south, north)
    assert (north.purse(), south.purse()) == (400, 600)
    assert on_its_way(north, south) == {}
    assert proven(north, south)


def test_the_same_wish_is_answered_and_another_under_its_id_is_refused(pair):
    north, south = pair
    first = send(north, 300)
    assert send(north, 300) == Done(first.office_seq, again=True)
    assert isinstance(send(north, 301), Refused)
    bring(north, south)
    assert (north.purse(), south.purse()) == (700, 300)


@pytest.mark.parametrize(("amount", "to"), [(1_001, "south"), (0, "south"), (10, "west"), (10, "north")])
def test_what_is_not_there_or_goes_nowhere_is_refused(pair, amount, to):
    north, south = pair
    assert isinstance(send(north, amount, to=to), Refused)
    assert (north.purse(), on_its_way(north, south)) == (1_000, {})


def test_a_guest_that_the_other_cell_never_saw_is_known_there_afterwards(pair):
    north, south = pair
    with north.store.writing() as tx:
        people.add_account(tx, TENANT, GuestAccount(account_id=NEW_GUEST, masked_name="W.", created_ms=WALL_MS))
    north.top_up(50, account=NEW_GUEST, payment="p9")
    send(north, account=NEW_GUEST)
    bring(north, south)
    with south.store.reading() as tx:
        assert people.account(tx, TENANT, NEW_GUEST).masked_name == "W."
    assert south.purse(account=NEW_GUEST) == 50
    assert proven(north, south)


def _waiting(office):
    with office.store.reading() as tx:
        return rows.waiting(tx, TENANT, "south", most=10)


@pytest.mark.parametrize("change", ["another content", "another number", "another cell", "a name nobody has"])
def test_a_letter_that_is_not_right_is_refused_with_an_alarm_and_others_go_on(pair, change):
    north, south = pair
    send(north, 100)
    send(north, 200, number=2)
    first, second = _waiting(north)
    match change:
        case "another content":
            bring(north, south)
            wrong = cells.Letter("north", msgspec.structs.replace(first, record=second.record), None)
        case "another number":
            wrong = cells.Letter("north", msgspec.structs.replace(first, office_seq=999), None)
        case "another cell":
            wrong = cells.Letter("south", first, None)
        case _:
            wrong = cells.Letter("west", first, None)
    with south.store.writing() as tx:
        assert isinstance(cells.take_in(south.desk(tx), wrong), Refused)
    assert ("cell_refused", TENANT) in south.alarms()
    bring(north, south)
    assert (north.purse(), south.purse(), on_its_way(north, south)) == (700, 300, {})
    assert proven(north, south)


def test_one_refused_letter_holds_nobody_up(pair, monkeypatch):
    north, south = pair
    send(north, 100)
    send(north, 200, number=2)
    wrong = _waiting(north)[0].office_seq
    told = cells._wrong
    monkeypatch.setattr(cells, "_wrong", lambda desk, letter, entry: told(desk, letter, entry) or (
        "not believed" if letter.sent.office_seq == wrong else ""))  # fmt: skip
    done = bring(north, south)
    assert (done.taken, len(done.refused)) == (1, 1)
    assert len(bring(north, south).refused) == 1
    assert south.alarms() == [("cell_refused", TENANT)]  # once, however often the relay comes
    assert on_its_way(north, south) == {"CNY": -100}
    monkeypatch.undo()
    assert bring(north, south).taken == 1
    assert on_its_way(north, south) == {}


def test_pages_are_brought_over_one_after_another(pair, monkeypatch):
    north, south = pair
    monkeypatch.setattr(cells, "PAGE", 2)
    for number in range(1, 6):
        send(north, 10, number=number)
    assert bring(north, south).taken == 5
    assert (south.purse(), on_its_way(north, south)) == (50, {})


def test_a_relay_with_nothing_to_find_reads_no_list_of_all_that_ever_went(pair, monkeypatch):
    for number in range(3):
        send(pair[0], 100, number=number)
    assert bring(*pair).taken == 3
    send(pair[0], 100, number=9)
    for name in ("sent", "taken"):
        monkeypatch.setattr(cells.cells, name, lambda _tx, _tenant: pytest.fail("it was read"))
    assert (bring(*pair).taken, bring(*pair).taken) == (1, 0)


def test_names_are_given_once(pair):
    north, _ = pair
    with north.store.writing() as tx:
        at = north.desk(tx)
        assert name_cells(at, "north", ["east"]) is None
        assert isinstance(name_cells(at, "south", []), Refused)
        assert isinstance(name_cells(at, "north", ["a b"]), Refused)
        assert isinstance(name_cells(at, "north", ["north"]), Refused)
        assert isinstance(name_cells(at, "west", ["north"]), Refused)


def test_a_cell_that_was_restored_is_brought_again_what_it_has_forgotten(pair, tmp_path):
    north, south = pair
    send(north, 100)
    send(north, 200, number=2)
    assert bring(north, south).taken == 2
    (tmp_path / "backup").mkdir()
    backup = Office(tmp_path / "backup")  # of the south, from before all that
    with backup.store.writing() as tx:
        assert name_cells(backup.desk(tx), "south", ["north"]) is None
    send(north, 50, number=3)
    assert [bring(north, backup).taken for _ in range(2)] == [3, 0]
    assert (backup.purse(), on_its_way(north, backup)) == (350, {})
    done = bring(north, south)  # and this is one from before the third
    assert (done.taken, done.again, south.purse(), on_its_way(north, south)) == (1, 0, 350, {})
    assert proven(north, south, backup)
    backup.store.close()


def test_a_build_that_believes_its_own_notes_is_caught(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "_offer_again", lambda *_: None)
    with pytest.raises(AssertionError):
        test_a_cell_that_was_restored_is_brought_again_what_it_has_forgotten(pair, tmp_path)


def test_a_cell_that_has_forgotten_what_it_sent_is_told_so(pair, tmp_path):
    north, south = pair
    send(north, 300)
    bring(north, south)
    (tmp_path / "backup").mkdir()
    backup = Office(tmp_path / "backup")  # of the north, from before that: the 300 are in its purse, too
    with backup.store.writing() as tx:
        assert name_cells(backup.desk(tx), "north", ["south"]) is None
    backup.top_up(1_000)
    for _ in range(2):
        (why,) = bring(backup, south).refused
        assert why.startswith("cell south has taken 1 sum unknown to these books")
    with backup.store.reading() as tx:
        assert [alarm.kind for alarm in papers.alarms(tx, TENANT)] == ["cell_forgot"]
    assert bring(north, south).refused == []
    backup.store.close()


def test_a_build_that_asks_nobody_what_it_sent_is_caught(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "_forgotten", lambda *_: [])
    with pytest.raises(ValueError, match="not enough values"):
        test_a_cell_that_has_forgotten_what_it_sent_is_told_so(pair, tmp_path)


# ---- gifts of a payment that goes back ----


def with_a_gift(pair, rule):
    """The north gives 200 bonus with a payment of 1,000; the first payment of the pair came before and has none."""
    with pair[0].store.writing() as tx:
        keep_terms(tx, TENANT, TopUpTerms(steps=(GiftStep("CNY", 1_000, "bonus", 200),), gift_rule=rule), now_ms=1)
    pair[0].top_up(1_000, payment="p2")


def refund(office, amount=None):
    wish = PayOut(refund_id=bytes(16), channel="counter", payment_id="p2", amount=amount)
    with office.store.writing() as tx:
        return pay_out(office.desk(tx), wish)


def taken_back(office):
    with office.store.writing() as tx:
        return reverse(office.desk(tx), Reversal(reversal_id=bytes(16), channel="counter", payment_id="p2"))


@pytest.mark.parametrize("rule", ["forfeit", "pro_rata", "keep"])
def test_a_payment_whose_gift_is_in_another_cell_does_not_go_back_before_it_came(pair, rule):
    north, south = pair
    with_a_gift(pair, rule)
    send(north, unit="bonus")
    for _ in range(2):  # on its way, and there
        refused = refund(north)
        if rule == "keep":
            assert refused.amount == 1_000
            return
        assert refused == Refused("of its gifts are 200 bonus in cell south: they are sent back first")
        bring(north, south)
    send(south, unit="bonus", to="north")
    bring(south, north)
    assert refund(north).amount == 1_000
    assert (north.purse(unit="bonus"), south.purse(unit="bonus")) == (0, 0)
    assert proven(north, south)


@pytest.mark.parametrize(("rule", "left"), [("forfeit", 0), ("pro_rata", 0), ("keep", 200)])
def test_a_gift_that_comes_home_behind_its_payments_reversal_goes_then(pair, rule, left):
    north, south = pair
    with_a_gift(pair, rule)
    send(north, unit="bonus")
    bring(north, south)
    assert isinstance(taken_back(north), Done)
    send(south, 50, unit="bonus", to="north")
    bring(south, north)
    assert north.purse(unit="bonus") == (50 if left else 0)
    send(south, unit="bonus", to="north", number=2)
    bring(south, north)
    assert (north.purse(unit="bonus"), south.purse(unit="bonus")) == (left, 0)
    assert proven(north, south)


def test_a_gift_that_went_and_came_is_no_larger_than_it_was_given(pair):
    north, south = pair
    with_a_gift(pair, "pro_rata")
    for number in (1, 2):
        send(north, unit="bonus", number=number)
        bring(north, south)
        send(south, unit="bonus", to="north", number=number)
        bring(south, north)
    assert refund(north, 500).amount == 500
    assert north.purse(unit="bonus") == 100
    assert proven(north, south)


@pytest.mark.parametrize(
    "seen",
    [
        lambda pair: test_a_payment_whose_gift_is_in_another_cell_does_not_go_back_before_it_came(pair, "forfeit"),
        lambda pair: test_a_gift_that_comes_home_behind_its_payments_reversal_goes_then(pair, "forfeit", 0),
        test_a_gift_that_went_and_came_is_no_larger_than_it_was_given,
    ],
)
def test_a_build_that_forgets_that_gifts_go_to_other_cells_is_caught(pair, monkeypatch, seen):
    monkeypatch.setattr(going_back, "as_given", lambda _desk, found: Gifts(dict(found), {}))
    with pytest.raises(AssertionError):
        seen(pair)


# ---- whatever dies ----


class CutError(Exception):
    """The relay is killed here."""


def _relayed_until(monkeypatch, pair, at):
    """Run the relay and kill it at its step `at`, a statement or a commit's both sides; say whether it got there."""
    steps = itertools.count()
    execute, commit = Transaction.execute, Store._commit

    def step():
        if next(steps) == at:
            raise CutError

    def cut_execute(self, *words):
        step()
        return execute(self, *words)

    def cut_commit(self, driver):
        step()
        commit(self, driver)
        step()

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "execute", cut_execute)
        patched.setattr(Store, "_commit", cut_commit)
        try:
            bring(*pair)
        except CutError:
            return True
    return False


def test_killed_at_any_step_and_run_again_it_has_brought_everything_over_once(pair, monkeypatch):
    north, south = pair
    sent = 0
    for number in itertools.count(1):
        send(north, 1, number=number % 250)
        sent += 1
        if not _relayed_until(monkeypatch, pair, number - 1):
            break
        assert on_its_way(north, south) in ({}, {"CNY": -1}), f"cut at step {number - 1}"
        bring(north, south)
        assert (north.purse(), south.purse(), on_its_way(north, south)) == (1_000 - sent, sent, {})
    assert 15 < sent < MOST_STEPS
    assert proven(north, south)


def test_two_relays_at_once_bring_it_over_once(pair):
    north, south = pair
    for number in range(1, 11):
        send(north, 10, number=number)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: bring(north, south), range(2)))
    assert sum(one.taken for one in done) == 10
    assert (south.purse(), on_its_way(north, south)) == (100, {})
    assert proven(north, south)


# ---- builds that cheat ----


def test_a_build_that_takes_twice_is_caught(pair, monkeypatch):
    north, south = pair
    send(north, 300)
    letter = cells.Letter("north", _waiting(north)[0], None)
    monkeypatch.setattr(rows, "taken_at", lambda *_: None)
    monkeypatch.setattr(rows, "add_taken", lambda *_: None)
    for _ in range(2):
        with south.store.writing() as tx:
            cells.take_in(south.desk(tx), letter)
    assert on_its_way(north, south) == {"CNY": 300}
    assert any("taken 2 times" in fault for fault in faults(north, south))


def test_a_build_that_only_looks_before_it_takes_is_stopped_by_the_key(pair, monkeypatch):
    north, south = pair
    send(north, 300)
    letter = cells.Letter("north", _waiting(north)[0], None)
    bring(north, south)
    monkeypatch.setattr(rows, "taken_at", lambda *_: None)
    with pytest.raises(StoreError), south.store.writing() as tx:
        cells.take_in(south.desk(tx), letter)
    assert (south.purse(), on_its_way(north, south)) == (300, {})


def test_a_build_that_sends_without_the_outbox_is_caught(pair, monkeypatch):
    north, south = pair
    monkeypatch.setattr(rows, "add_sent", lambda *_: None)
    send(north, 300)
    assert bring(north, south).taken == 0
    assert on_its_way(north, south) == {"CNY": -300}
    assert any(fault.startswith("cell_outbox") for fault in faults(north, south))
    assert not north.prove().ok


def test_a_build_that_notes_it_taken_before_it_is_caught(pair, monkeypatch):
    north, south = pair
    send(north, 300)
    with monkeypatch.context() as patched:
        patched.setattr(south.store, "write", lambda *_: [Done(1)])
        bring(north, south)
    assert on_its_way(north, south) == {"CNY": -300}  # nobody would look for it, but that the target has less
    assert bring(north, south).taken == 1


@pytest.mark.parametrize("table", ["cell_inbox", "cell_outbox"])
def test_what_went_between_cells_is_never_forgotten(pair, table):
    north, south = pair
    send(north, 300)
    bring(north, south)
    office = north if table == "cell_outbox" else south
    with pytest.raises(StoreError, match="never forgotten"), office.store.writing() as tx:
        tx.execute(sa.delete(sa.table(table)))
