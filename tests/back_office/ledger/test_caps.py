"""What a hub may take in is judged by what it may have had in force when it took it, and never against a guest."""

import pytest

from back_office.fleet.documents import keep_document
from back_office.fleet.restored import declare_restored
from back_office.ledger import caps, intake_cap
from back_office.ledger.caps import caps_in_force
from back_office.store import papers, places
from back_office.store.engine import open_store, sqlite_url
from back_office.store.set_back import JUMP
from cloud_sync.protocol.messages import DocumentVersion
from payment_core.accounts import Kind
from payment_core.journal import BroughtIn, Lot, LotKind, Part, Source
from payment_core.policy import TOP_UP_CAP, RiskDocument
from tests.back_office.world import GUEST, HUB, TENANT, WALL_MS


def send(office, cap):
    with office.store.writing() as tx:
        keep_document(tx, TENANT, HUB, "risk", RiskDocument(0, top_up_cap=cap), now_ms=office.now_ms)


def says(office, version, *, outbox=0, **more):
    """Let the hub greet: it has this version of its risk document, and so many entries without a receipt."""
    said = (DocumentVersion("risk", version),) if version else ()
    hub = office.hub
    office.worker.on_message(*hub.hello(versions=said, outbox_entries=outbox, last_seq=hub.batch_seq, **more))


def brings(hub, amount, number=1):
    lot = Lot(bytes([number]) * 16, LotKind.PAID, WALL_MS, None, "drawer", "d1")
    parts = (Part("CNY", amount, 1, lot.lot),)
    return hub.write(lambda header: BroughtIn(
        1, header, GUEST, parts, Source.DRAWER, "front", bytes([number]) * 16, (lot,), (), "w"
    ))  # fmt: skip


def stands(office):
    return office.left(), office.frozen(), office.balance(Kind.OVERCLAIM), office.prove().faults


def under_its_defaults(office):
    """A hub took 50,000 in under its own T_h; its first document, which says 10,000, is there before its word."""
    says(office, 0)
    brings(office.hub, 50_000)
    send(office, 10_000)
    says(office, 1, outbox=2)
    office.take(office.hub.batch())
    return stands(office)


def test_what_a_hub_took_in_before_its_first_document_is_the_guests(office):
    assert under_its_defaults(office) == (50_000, "", 0, [])
    assert office.alarms() == []


def test_behind_the_document_its_cap_counts(office):
    under_its_defaults(office)
    brings(office.hub, 10_001, number=2)
    office.take(office.hub.batch())
    assert stands(office) == (50_000, "overclaim", -10_001, [])


@pytest.mark.parametrize("outbox", [0, 2])
def test_so_it_is_of_what_it_had_not_sealed_when_it_first_said_so(office, outbox):
    says(office, 0)
    send(office, 10_000)
    says(office, 1, outbox=outbox)
    brings(office.hub, 50_000)
    office.take(office.hub.batch())
    assert office.left() == (50_000 if outbox else 0)


def test_a_hub_that_lost_its_document_has_its_defaults_again(office):
    send(office, 10_000)
    says(office, 1)
    says(office, 0)
    brings(office.hub, 50_000)
    office.take(office.hub.batch())
    assert stands(office) == (50_000, "", 0, [])


def test_it_is_never_more_than_the_defaults_that_count_without_a_document(office):
    says(office, 0)
    brings(office.hub, TOP_UP_CAP + 1)
    office.take(office.hub.batch())
    assert stands(office) == (0, "overclaim", -TOP_UP_CAP - 1, [])


def test_a_build_that_judges_by_what_was_sent_alone_is_caught(office, monkeypatch):
    def sent_alone(tx, tenant_id, hub, *, wrote=None):
        del wrote
        return caps_in_force(tx, tenant_id, hub, wrote=0)[:-1]

    monkeypatch.setattr(caps, "caps_in_force", sent_alone)
    assert under_its_defaults(office) == (0, "overclaim", -50_000, [])


def reopen(office):
    office.store = open_store(sqlite_url(office.file))
    office.start()


def set_back(office, *, heard_whole=False):
    """The backup has forgotten the document that raised T_h, and what a hub took in under it.

    heard_whole: the hub takes it in behind its hello, under the document that it alone knows.
    """
    hub = office.hub
    send(office, 10_000)
    says(office, 1)
    office.take(hub.batch())
    office.store.close()
    backup = office.file.read_bytes()
    reopen(office)
    send(office, 100_000)
    says(office, 2)
    if not heard_whole:
        brings(hub, 50_000)
        batch = hub.batch()
        office.take(batch)
        assert stands(office) == (50_000, "", 0, [])
    office.store.close()
    for file in office.file.parent.glob("office.sqlite*"):
        file.unlink()
    office.file.write_bytes(backup)
    reopen(office)
    with office.store.writing() as tx:
        declare_restored(tx, TENANT, by="ann", note="disk died", now_ms=office.now_ms)
        assert papers.newest(tx, TENANT, HUB, "risk").version > JUMP
    says(office, 2, acked_seq=hub.batch_seq)
    if heard_whole:
        brings(hub, 50_000)
        batch = hub.batch()
    office.take(batch)
    return stands(office)


@pytest.mark.sqlite
@pytest.mark.parametrize("heard_whole", [False, True])
def test_books_that_have_forgotten_a_document_discard_nothing(office, heard_whole):
    assert set_back(office, heard_whole=heard_whole) == (50_000, "", 0, [])
    assert office.alarms() == [("forgotten", HUB)]


@pytest.mark.sqlite
def test_a_build_that_judges_by_what_it_has_forgotten_is_caught(office, monkeypatch):
    monkeypatch.setattr(intake_cap, "may_have_forgotten", lambda *_: False)
    assert set_back(office) == (0, "", -50_000, [])


def test_where_nothing_was_restored_a_document_that_nobody_sent_opens_nothing(office):
    send(office, 10_000)
    says(office, 1)
    office.take(office.hub.batch())
    says(office, 7)
    brings(office.hub, 50_000)
    office.take(office.hub.batch())
    assert stands(office) == (0, "overclaim", -50_000, [])


def test_the_entry_from_which_on_it_had_one_is_kept(office):
    send(office, 10_000)
    says(office, 1, outbox=5)
    says(office, 1, outbox=9)
    with office.store.reading() as tx:
        assert places.hub(tx, TENANT, HUB).risk_from == 6
