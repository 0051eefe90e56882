"""The post room: hellos are answered with everything that is missing, requests with leases and lists."""


import msgspec
import pytest
import sqlalchemy as sa

from back_office.fleet import mail, telling
from back_office.fleet.closing import reopen
from back_office.fleet.documents import keep_document
from back_office.members.cards import add_card, find_card, parse_card, set_status
from back_office.store import grants, papers, people, places
from back_office.store.alarm_budget import ALARMS_OF_HUB, BUDGET_MS
from back_office.store.faults import StoreUnavailableError
from back_office.store.people import GuestAccount
from cloud_sync.downlink import Accepted, Downlink, ListMismatch
from cloud_sync.protocol.messages import (
    CredentialList,
    Document,
    DocumentVersion,
    Grant,
    HelloRequest,
    Lease,
    LeaseRequest,
    ListRequest,
)
from cloud_sync.protocol.topics import hub_topic
from payment_core.policy import RiskDocument
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, TENANT, WALL_MS, leaves, tamper


def card(number):
    return parse_card(f"ntag213:04A1B2C3D4E5{number:02X}")


def add(office, *numbers):
    for number in numbers:
        account = GuestAccount(account_id=bytes([number]) * 16, created_ms=WALL_MS)
        with office.store.writing() as tx:
            add_card(tx, TENANT, card(number), pepper=KEYS.pepper, account=account)


def set_risk(office, **changes):
    with office.store.writing() as tx:
        keep_document(tx, TENANT, HUB, "risk", RiskDocument(0, **changes), now_ms=WALL_MS)


def heard(office, letters, versions=None):
    """Return what the hub makes of letters."""
    identity = office.hub.identity
    downlink = Downlink(
        hub_id=HUB, tenant_id=TENANT, opener=identity.opener, trust=identity.trust, versions=versions or {}
    )
    bodies = []
    for letter in letters:
        for event in downlink.on_message(letter.topic, letter.payload):
            if isinstance(event, Accepted):
                bodies.append(event.body)
                if isinstance(event.body, CredentialList):
                    downlink.in_effect("list", event.body.version)
            else:
                assert isinstance(event, ListMismatch), event
                bodies.append(event)
    return bodies


def test_a_hello_brings_the_receipt_leases_list_and_documents(office):
    add(office, 1, 2)
    set_risk(office, hold_ms=900)
    office.top_up(1_000)
    office.lease()
    letters = office.worker.on_message(*office.hub.hello()).letters
    assert leaves(letters) == ["receipt", "lease", "list", "document/risk"]
    assert [letter.retain for letter in letters] == [False, False, False, True]
    _, lease, listed, document = heard(office, letters)
    assert [(grant.account_id, grant.granted_total) for grant in lease.grants] == [(GUEST, 1_000)]
    assert (listed.full, listed.base_version, listed.version, len(listed.rows)) == (True, 0, 2, 2)
    assert (document.name, document.version) == ("risk", 1)


def test_a_hub_gets_only_what_it_does_not_have(office):
    add(office, 1, 2)
    set_risk(office, hold_ms=900)
    versions = (DocumentVersion("list", 1), DocumentVersion("risk", 1))
    letters = office.worker.on_message(*office.hub.hello(versions=versions)).letters
    assert leaves(letters) == ["receipt", "list"]
    (_, listed) = heard(office, letters, {"list": 1})
    assert (listed.full, listed.base_version, [row.version for row in listed.rows]) == (False, 1, [2])


def test_a_lease_request_leases_everything_and_again_answers_the_same(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    for _ in range(2):
        handled = office.worker.on_message(*office.hub.letter(LeaseRequest(GUEST), "request"))
        (lease,) = heard(office, handled.letters)
        assert isinstance(lease, Lease)
        assert [grant.granted_total for grant in lease.grants] == [1_000]
    assert office.worker.tick() == []
    nobody = office.worker.on_message(*office.hub.letter(LeaseRequest(OTHER_GUEST), "request"))
    (nothing,) = heard(office, nobody.letters)
    assert nothing == Lease((Grant(OTHER_GUEST, "", 1, 0),))
    assert office.worker.on_message(*office.hub.letter(LeaseRequest(b""), "request")).letters == ()


def test_a_list_request_brings_what_changed_after_the_version_the_hub_has(office, monkeypatch):
    monkeypatch.setattr(mail, "ROWS_AT_ONCE", 2)
    add(office, 1, 2, 3, 4, 5)
    office.worker.on_message(*office.hub.hello())
    everything = office.worker.on_message(*office.hub.letter(ListRequest(0), "request"))
    pieces = heard(office, everything.letters)
    assert [(piece.full, piece.base_version, piece.version) for piece in pieces] == [
        (True, 0, 2),
        (False, 2, 4),
        (False, 4, 5),
    ]
    # A hub in the middle is not sent a full list from the start: its first pieces would be old to it, the rest no fit.
    rest = heard(office, office.worker.on_message(*office.hub.letter(ListRequest(3), "request")).letters, {"list": 3})
    assert [(piece.full, piece.base_version, piece.version) for piece in rest] == [(False, 3, 5)]
    assert office.worker.on_message(*office.hub.letter(ListRequest(9), "request")).letters == ()


def test_a_long_list_comes_in_pieces_that_fit_on_each_other(office, monkeypatch):
    monkeypatch.setattr(mail, "ROWS_AT_ONCE", 2)
    add(office, 1, 2, 3, 4, 5)
    pieces = heard(office, office.worker.on_message(*office.hub.hello()).letters)[1:]
    assert [(piece.full, piece.base_version, piece.version) for piece in pieces] == [
        (True, 0, 2),
        (False, 2, 4),
        (False, 4, 5),
    ]


def test_what_another_process_writes_is_told_once(office):
    office.worker.on_message(*office.hub.hello())
    assert office.worker.tick() == []
    add(office, 1)
    set_risk(office, hold_ms=900)
    office.top_up(1_000)
    office.lease()
    assert leaves(office.worker.tick()) == ["lease", "list", "document/risk"]
    assert office.worker.tick() == []
    with office.store.writing() as tx:
        set_status(tx, TENANT, find_card(tx, TENANT, card(1), pepper=KEYS.pepper), "lost")
    letters = office.worker.tick()
    (listed,) = heard(office, letters, {"list": 1})
    assert [(row.status, row.version) for row in listed.rows] == [("lost", 2)]
    with office.store.reading() as tx:
        assert people.list_version(tx, TENANT) == 2


def test_only_hubs_that_a_change_is_for_are_looked_at(office, monkeypatch):
    looked_at = []

    def seen(tx, mail, hub, told):
        looked_at.append(hub.hub_id)
        return real(tx, mail, hub, told)

    real = telling.news
    office.worker.on_message(*office.hub.hello())
    office.worker.tick()
    monkeypatch.setattr(telling, "news", seen)
    office.top_up(1_000)  # an entry of the office's own that is nobody's lease
    assert office.worker.tick() == []
    assert looked_at == []
    office.lease()
    assert leaves(office.worker.tick()) == ["lease"]
    assert looked_at == [HUB]
    add(office, 1)
    assert leaves(office.worker.tick()) == ["list"]
    assert (looked_at, office.worker.tick()) == ([HUB, HUB], [])


@pytest.mark.sqlite
def test_hubs_with_a_newer_grant_are_found_by_a_seek_each(office):
    office.top_up(1_000)
    office.lease()
    with office.store.reading() as tx:
        (row,) = grants.leases_of_hub(tx, TENANT, HUB).values()
        assert grants.granted_since(tx, TENANT, row.granted_seq - 1) == {HUB}
        assert grants.granted_since(tx, TENANT, row.granted_seq) == frozenset()
        sql = "EXPLAIN QUERY PLAN " + str(grants._GRANTED_SINCE)
        values = {"tenant": TENANT, "after": 0}
        plan = " ".join(str(step[-1]) for step in tx.execute(sa.text(sql), values))
    assert "SCAN leases" not in plan


def freeze(office):
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="fork")


def test_a_frozen_hub_is_told_no_lease_by_whatever_way(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    freeze(office)
    assert "lease" not in leaves(office.worker.tick())
    assert leaves(office.worker.on_message(*office.hub.hello()).letters) == ["receipt"]
    assert office.worker.on_message(*office.hub.letter(LeaseRequest(GUEST), "request")).letters == ()
    office.start()
    assert office.worker.on_message(*office.hub.letter(LeaseRequest(GUEST), "request")).letters == ()


def test_a_hello_that_freezes_a_hub_brings_it_no_lease(office):
    office.top_up(1_000)
    office.lease()
    office.take(office.hub.batch())
    letters = office.worker.on_message(*office.hub.hello(last_seq=0, last_hash=bytes(32))).letters
    assert leaves(letters) == ["receipt"]


def test_leases_of_an_epoch_that_a_hub_has_left_are_not_told(office):
    office.top_up(600, payment="p1")
    office.lease()
    tamper(office, "UPDATE hubs SET epoch = 2, allowed_epoch = 2")
    hello = office.hub.hello(epoch=2, last_seq=0, last_hash=bytes(32))
    assert leaves(office.worker.on_message(*hello).letters) == ["receipt"]
    office.top_up(400, payment="p2")
    handled = office.worker.on_message(*office.hub.letter(LeaseRequest(GUEST), "request"))
    (lease,) = heard(office, handled.letters)
    assert [(grant.lease_epoch, grant.granted_total) for grant in lease.grants] == [(2, 400)]


def test_a_hub_that_was_never_heard_is_told_nothing(office):
    add(office, 1)
    assert office.worker.start() == []
    assert office.worker.tick() == []


def test_a_worker_that_starts_anew_asks_for_hellos(office):
    office.worker.on_message(*office.hub.hello())
    office.start()
    (letter,) = office.worker.start()
    (body,) = heard(office, [letter])
    assert isinstance(body, HelloRequest)
    assert not isinstance(body, Document)


def test_a_hub_that_does_not_sell_is_an_alarm_once_until_it_sells_again(office):
    def says(state: str, **more: str) -> list[str]:
        office.worker.on_message(hub_topic(HUB, "up", "state"), msgspec.json.encode({"state": state, **more}))
        with office.store.reading() as tx:
            return [f"{alarm.kind}: {alarm.text}" for alarm in papers.alarms(tx, TENANT)]

    assert says("online") == []
    assert says("closed", fault="read_only", why="the card is worn out") == ["closed: the card is worn out"]
    assert len(says("offline")) == 1
    assert len(says("closed", fault="read_only", why="the card is worn out")) == 1
    assert says("safe_mode", fault="damaged")[0] == "safe_mode: the hub does not say why"
    assert len(says("online")) == 2
    assert len(says("safe_mode", why="x" * 5_000)[0]) == len("safe_mode: ") + 500
    assert says("no_new_money", why="the\0 disk\0")[0] == "no_new_money: the disk"


def test_a_hub_that_tells_of_ever_other_troubles_buries_no_alarm_of_others(office):
    def alarms_after(times: int) -> int:
        for number in range(times):
            state = msgspec.json.encode({"state": "closed", "why": f"{office.now_ms} {number}"})
            office.worker.on_message(hub_topic(HUB, "up", "state"), state)
        with office.store.reading() as tx:
            return len(papers.alarms(tx, TENANT))

    assert alarms_after(50) == ALARMS_OF_HUB
    office.now_ms += BUDGET_MS
    assert alarms_after(1) == ALARMS_OF_HUB + 1


def test_a_build_that_bounds_no_hubs_alarms_is_caught(office, monkeypatch):
    monkeypatch.setattr(office.worker.presence, "may_alarm", lambda _hub_id, _now_ms: True)
    with pytest.raises(AssertionError):
        test_a_hub_that_tells_of_ever_other_troubles_buries_no_alarm_of_others(office)


def test_a_trouble_is_an_alarm_though_the_database_was_away_when_it_was_told(office, monkeypatch):
    def away(_tx, _tenant_id, _alarm):
        raise StoreUnavailableError

    told = hub_topic(HUB, "up", "state"), b'{"state":"safe_mode"}'
    with monkeypatch.context() as patched:
        patched.setattr(papers, "raise_alarm", away)
        with pytest.raises(StoreUnavailableError):
            office.worker.on_message(*told)
    for _ in range(2):
        office.worker.on_message(*told)
        with office.store.reading() as tx:
            assert [alarm.kind for alarm in papers.alarms(tx, TENANT)] == ["safe_mode"]


def test_states_are_heard_from_enrolled_hubs_only(office):
    state = hub_topic(HUB, "up", "state")
    assert office.worker.on_message(state, b'{"state":"online"}').moved
    assert office.worker.presence.online == {HUB: True}
    for nonsense in (b"nonsense", b'{"state":"\xff"}', b'{"x":' * 100_000):
        assert not office.worker.on_message(state, nonsense).moved
    assert not office.worker.on_message(hub_topic(bytes(16), "up", "state"), b'{"state":"online"}').moved
    assert [refusal.reason for refusal in office.worker.on_message("vh/1/x", b"").refusals] == ["topic"]


def test_a_hello_is_remembered(office):
    office.worker.on_message(*office.hub.hello(outbox_entries=3, outbox_age_ms=2**53 - 1))
    with office.store.reading() as tx:
        hub = places.hub(tx, TENANT, HUB)
    assert (hub.last_seen_ms, hub.outbox_entries, hub.outbox_age_ms) == (WALL_MS, 3, 2**53 - 1)


def test_a_version_that_no_column_holds_is_refused_with_its_hello(office):
    handled = office.worker.on_message(*office.hub.hello(versions=(DocumentVersion("list", 2**63),)))
    assert (handled.letters, [refusal.reason for refusal in handled.refusals]) == ((), ["body"])


def test_a_hub_that_was_opened_again_is_asked_for_a_hello_and_told_what_was_lifted(office):
    office.worker.on_message(*office.hub.hello())
    office.take(office.hub.batch())
    office.worker.tick()
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="overclaim")
    (told,) = heard(office, office.worker.on_message(*office.hub.hello()).letters)
    assert (told.frozen, told.reopened) == ("overclaim", "")
    with office.store.writing() as tx:
        assert reopen(tx, TENANT, places.hub(tx, TENANT, HUB), by="ann", note="looked", now_ms=WALL_MS) == ""
    (asked,) = heard(office, office.worker.tick())
    assert isinstance(asked, HelloRequest)
    assert office.worker.tick() == []
    (told,) = heard(office, office.worker.on_message(*office.hub.hello()).letters)
    assert (told.epoch, told.frozen, told.reopened) == (1, "", "overclaim")
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="impossible")
    (told,) = heard(office, office.worker.on_message(*office.hub.hello()).letters)
    assert (told.frozen, told.reopened) == ("impossible", "")
