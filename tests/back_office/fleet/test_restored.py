"""Books restored from a backup: hubs send again what they do not know, and nothing is doubled or lost of it (RES-4)."""

import msgspec
import pytest

from back_office.fleet.closing import close
from back_office.fleet.documents import keep_document
from back_office.fleet.restored import declare_restored
from back_office.ingest import hub_books
from back_office.ledger.counter import Done, PayOut, Refused, Reversal, pay_out, reverse, write_off
from back_office.ledger.unsettled import unsettled
from back_office.payments.slips import SlipRefused, SlipWish, issue_slip
from back_office.store import acts, lots, papers, people, places, set_back
from back_office.store.engine import open_store, sqlite_url
from back_office.store.lots import LotKey
from back_office.store.people import Credential
from back_office.store.set_back import JUMP
from payment_core.accounts import Kind
from payment_core.journal import LeaseTaken
from payment_core.policy import RiskDocument
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, OTHER_HUB, TENANT, leaves

pytestmark = [pytest.mark.long, pytest.mark.sqlite]


class Disaster:
    """An office with a backup of a moment, and batches that its hub had receipts for since."""

    def __init__(self, office):
        self.office = office
        office.top_up(1_000)
        office.top_up(500, account=OTHER_GUEST, payment="p2")
        office.lease()
        self.say_hello()
        office.hub.held(200)
        office.hub.captured(200)
        office.take(office.hub.batch())
        office.store.close()
        self.backup = office.file.read_bytes()
        self.reopen()
        self.since = []
        assert office.lease(account=OTHER_GUEST) == 500
        lot = office.lots[OTHER_GUEST, "CNY"]
        with office.store.reading() as tx:
            facts = lots.lots_of_accounts(tx, TENANT, {OTHER_GUEST})[LotKey(OTHER_GUEST, "CNY", lot)].facts(lot)
        office.hub.write(lambda header: LeaseTaken(1, header, OTHER_GUEST, "CNY", 1, 500, 500, facts))
        self.sell(300, authorization=2)
        self.sell(100, authorization=3)

    def sell(self, amount, *, authorization):
        hub = self.office.hub
        hub.held(amount, account=OTHER_GUEST, authorization=authorization)
        hub.captured(amount, account=OTHER_GUEST, authorization=authorization)
        self.since.append(hub.batch())
        assert not self.office.take(self.since[-1]).refusals

    def say_hello(self, **changes):
        return self.office.worker.on_message(*self.office.hub.hello(**changes))

    def reopen(self):
        self.office.store = open_store(sqlite_url(self.office.file))
        self.office.start()

    def happens(self):
        """Put the backup back."""
        self.office.store.close()
        for file in self.office.file.parent.glob("office.sqlite-*"):
            file.unlink()
        self.office.file.write_bytes(self.backup)
        self.reopen()

    def declare(self):
        with self.office.store.writing() as tx:
            return declare_restored(tx, TENANT, by="ann", note="disk died", now_ms=self.office.now_ms)

    def unheard(self):
        with self.office.store.reading() as tx:
            return set_back.unheard(tx, TENANT)

    def figures(self):
        office = self.office
        return (
            office.purse(), office.left(), office.purse(account=OTHER_GUEST), office.left(account=OTHER_GUEST),
            office.balance(Kind.REVENUE),
        )  # fmt: skip


@pytest.fixture
def disaster(office):
    return Disaster(office)


def comes_back_the_same(disaster):
    """Restore, declare, and hear the hub again; say whether the books are what they were and nobody is frozen."""
    before = disaster.figures()
    disaster.happens()
    assert disaster.figures() != before
    disaster.declare()
    disaster.say_hello(acked_seq=3)
    for data in disaster.since * 2:
        disaster.office.take(data)
    office = disaster.office
    assert office.prove().faults == []
    return disaster.figures() == before and office.frozen() == ""


def test_what_hubs_have_receipts_for_is_booked_again_once(disaster):
    assert comes_back_the_same(disaster)
    assert [kind for kind, _ in disaster.office.alarms()] == []


def test_a_build_that_learns_no_grant_again_is_caught(disaster, monkeypatch):
    monkeypatch.setattr(hub_books, "relearn", lambda _desk, _hub, _entries: None)
    assert not comes_back_the_same(disaster)


def test_nothing_is_leased_before_all_were_heard_whole(disaster):
    office = disaster.office
    office.enroll(OTHER_HUB, "foyer")
    disaster.happens()
    assert [hub.hub_id for hub in disaster.declare()] == [HUB]
    assert office.lease(account=OTHER_GUEST, hub_id=HUB) == 0
    disaster.say_hello(acked_seq=3)
    office.take(disaster.since[0])
    assert leaves(office.take(disaster.since[1]).letters)[-1] == "command", "it is asked whether that was all"
    assert disaster.unheard() == {HUB: True}
    disaster.say_hello(acked_seq=3, outbox_entries=2)
    assert disaster.unheard() == {HUB: True}
    disaster.say_hello(acked_seq=3)
    assert disaster.unheard() == {}
    office.top_up(70, account=GUEST, payment="p9")
    assert office.lease() == 1_070


def test_a_hub_that_never_comes_again_is_closed_and_holds_nobody_up(disaster):
    office = disaster.office
    disaster.happens()
    disaster.declare()
    with office.store.writing() as tx:
        close(office.desk(tx), places.hub(tx, TENANT, HUB), by="ann", note="burnt", captured=False)
    assert disaster.unheard() == {}


def test_restored_books_judge_no_hub_before_a_person_has_said_that_they_are(disaster):
    disaster.happens()
    disaster.say_hello(acked_seq=3)
    disaster.say_hello(acked_seq=3)
    office = disaster.office
    assert (office.alarms(), disaster.unheard()) == ([("set_back", HUB)], {HUB: False})
    assert [refusal.reason for refusal in office.take(disaster.since[0]).refusals] == ["gap"]
    assert office.frozen() == ""
    disaster.declare()
    office.take(disaster.since[0])
    assert not office.take(disaster.since[1]).refusals
    assert office.prove().faults == []


def test_a_hub_that_the_backup_never_heard_is_learned_of_with_the_others(disaster):
    office = disaster.office
    foyer = office.enroll(OTHER_HUB, "foyer")
    office.store.close()
    disaster.backup = office.file.read_bytes()
    disaster.reopen()
    office.take(foyer.batch(), foyer)
    disaster.happens()
    disaster.declare()
    office.worker.on_message(*foyer.hello(acked_seq=1))
    assert disaster.unheard() == {HUB: True, OTHER_HUB: True}


def noticed(disaster):
    """One hub says that it knows more; nobody has declared anything yet. Return what another is leased meanwhile."""
    office = disaster.office
    foyer = office.enroll(OTHER_HUB, "foyer")
    disaster.happens()
    office.enroll(OTHER_HUB, "foyer")
    disaster.say_hello(acked_seq=3)
    office.worker.on_message(*foyer.hello())
    return office.lease(account=OTHER_GUEST, hub_id=OTHER_HUB)


def test_nothing_is_leased_from_the_moment_on_that_it_is_noticed(disaster):
    assert noticed(disaster) == 0
    assert disaster.unheard() == {HUB: False}


def test_a_hub_that_only_says_so_holds_nobody_up_once_it_is_frozen(disaster):
    noticed(disaster)
    with disaster.office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="it lies")
    assert disaster.office.lease(account=OTHER_GUEST, hub_id=OTHER_HUB) == 500


def test_a_build_that_leases_on_until_somebody_declares_it_is_caught(disaster, monkeypatch):
    monkeypatch.setattr(set_back, "is_learning", lambda tx, tenant: any(set_back.unheard(tx, tenant).values()))
    assert noticed(disaster) == 500


def test_versions_go_on_above_what_hubs_may_have(disaster):
    office = disaster.office
    with office.store.writing() as tx:
        keep_document(tx, TENANT, HUB, "risk", RiskDocument(0), now_ms=1)
        row = Credential(
            credential_id=bytes(16), account_id=GUEST, media="ntag21x", class_="C", status="active", version=7
        )
        people.add_credential(tx, TENANT, row)
    disaster.declare()
    with office.store.writing() as tx:
        kept = papers.newest(tx, TENANT, HUB, "risk")
        assert (kept.version, msgspec.json.decode(kept.body)["version"]) == (1 + JUMP, 1 + JUMP)
        assert people.list_version(tx, TENANT) == 7 + JUMP
        assert keep_document(tx, TENANT, HUB, "risk", RiskDocument(0, floor_per_hub=5), now_ms=1).version == 2 + JUMP


def test_no_purse_is_drawn_on_before_all_were_heard_whole(disaster):
    """What it shows may lie at a hub that was not heard yet."""
    office = disaster.office
    disaster.happens()
    disaster.declare()
    refund = PayOut(refund_id=bytes(16), channel="counter", payment_id="p2")
    reversal = Reversal(reversal_id=bytes(16), channel="counter", payment_id="p2")
    with office.store.writing() as tx:
        desk = office.desk(tx)
        assert isinstance(pay_out(desk, refund), Refused)
        wish = SlipWish(slip_id=bytes(16), account_id=OTHER_GUEST, unit="CNY", amount=1)
        assert isinstance(issue_slip(desk, KEYS.signer, wish), SlipRefused)
        taken = reverse(desk, reversal)
        assert isinstance(taken, Done)
        assert taken.owed == 500
        assert desk.settle_debt(OTHER_GUEST, "CNY") == 0
    disaster.say_hello(acked_seq=3)
    for data in disaster.since:
        office.take(data)
    assert disaster.unheard() == {HUB: True}
    assert office.balance(Kind.OVERCLAIM) == 0
    assert office.prove().faults == []


def test_what_remains_is_told_once_and_written_off(disaster):
    """A payment that only the office knew: a hub was leased of it."""
    office = disaster.office
    office.top_up(400, account=OTHER_GUEST, payment="p3")
    assert office.lease(account=OTHER_GUEST) == 900
    lot = office.lot("p3")
    with office.store.reading() as tx:
        facts = lots.lots_of_accounts(tx, TENANT, {OTHER_GUEST})[LotKey(OTHER_GUEST, "CNY", lot)].facts(lot)
    office.hub.write(lambda header: LeaseTaken(1, header, OTHER_GUEST, "CNY", 1, 400, 400, facts))
    disaster.since.append(office.hub.batch())
    disaster.happens()
    disaster.declare()
    for data in disaster.since:
        office.take(data)
    disaster.say_hello(acked_seq=4)
    assert (office.alarms(), office.frozen(), office.balance(Kind.OVERCLAIM)) == ([("forgotten", TENANT)], "", 400)
    with office.store.writing() as tx:
        (end,) = [end for end in unsettled(tx, TENANT) if end.kind == "overclaim"]
        assert (end.hub, end.amount) == ("", 400)
    office.now_ms += 60_000
    given_up = {"account_id": OTHER_GUEST, "unit": "CNY", "hub": TENANT, "by": "ann"}
    with office.store.writing() as tx:
        write_off(office.desk(tx), act_id=b"part", amount=300, **given_up)
        (rest,) = [end for end in unsettled(tx, TENANT) if end.kind == "overclaim"]
        assert (rest.amount, rest.since_ms) == (100, end.since_ms)  # what was settled made the rest no younger
        done = write_off(office.desk(tx), act_id=bytes(16), amount=100, note="the backup forgot it", **given_up)
        line = acts.audit_lines(tx, TENANT)[0]
    assert isinstance(done, Done)
    assert (line.who, line.what.split(" given up")[0], line.note) == ("ann", "loss of ¥1.00", "the backup forgot it")
    assert (office.balance(Kind.OVERCLAIM), office.prove().faults) == (0, [])
