"""What SQLite looks at for a batch: by an index to what is asked for, never through all that a tenant has.

The plans are SQLite's own (EXPLAIN QUERY PLAN) of every statement that its driver was given.
"""

import re
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from back_office.ingest.hub_books import HubBooks
from back_office.store import (
    books,
    by_index,
    chains,
    consents,
    grants,
    loose_ends,
    lots,
    meters,
    papers,
    places,
    slips,
    statements,
    takings,
    telemetry,
)
from cloud_sync.protocol.messages import LeaseRequest
from payment_core.accounts import Kind
from payment_core.journal import CoinBooked, Source
from tests.back_office.ledger.test_guest_book import allow_intake, brings_in
from tests.back_office.world import DAY, GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT, VENUE, WALL_MS, tamper

pytestmark = pytest.mark.sqlite
FEW = {"tenants", "venues", "risk_rules", "set_back", "webhooks", "signers", "terms", "receive_keys"}
"""Tables that do not grow with guests, hubs or time."""
OF_A_HUB = {"entries", "batches", "postings", "evidence", "card_uses", "late_entries", "takings", "documents"}
"""Tables in which a hub has ever more: to search them by the hub, its epoch or a date alone goes through a history."""
WHOLE = re.compile(r"^(?:SCAN (?P<scanned>\w+)|SEARCH (?P<searched>\w+) .*\(tenant_id=\?\))")
HISTORY = re.compile(
    r"^SEARCH (?P<walked>\w+) .*\(tenant_id=\?(?: AND (?:hub_id|venue_id|stream|epoch|business_date)=\?)*"
    r"(?: AND business_date[<>]\?)*\)"
)
LOOKED_UP = re.compile(r"(?i)^select max\(|order by \S+ desc\s+limit")
"""The first or last of an index is one look."""
OPEN_ONLY = "USING INDEX passing_open "
"""An index of what is on its way alone."""
BOUNDED = re.compile(r"(?i)\blimit\b")
SORTED = "USE TEMP B-TREE"
"""A search that ends with the rows it was asked for walks through nothing, unless all are sorted before."""


@pytest.fixture
def said(office):
    """Collect the texts that SQLite is given, with their values in them."""
    texts = []
    sa.event.listen(office.store._engine, "checkout", lambda driver, *_: driver.set_trace_callback(texts.append))
    return texts


def whole_tables(office, texts):
    """Return the growing tables, and the histories of hubs, through which a statement goes, with the statement."""
    found = {}
    with closing(sqlite3.connect(office.file)) as connection:
        for text in {text for text in texts if re.match("(?i)select|update|delete|insert", text)}:
            if LOOKED_UP.search(text):
                continue
            steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()]
            ends = BOUNDED.search(text) and not any(SORTED in step for step in steps)
            for step in steps:
                at, walk = WHOLE.match(step), HISTORY.match(step)
                name = at and (at["scanned"] or at["searched"])
                if walk and not ends and walk["walked"] in OF_A_HUB:
                    name = walk["walked"]
                if name and not name.startswith("anon_") and name not in FEW and OPEN_ONLY not in step:
                    found[re.sub(r"\s+", " ", text).partition(" FROM ")[2]] = step
    return found


def play(office, *pens, times=3):
    """Let guests with leases play at several hubs at once, and tell the office of it together."""
    for pen, guest in zip(pens, (GUEST, OTHER_GUEST), strict=False):
        for _ in range(times):
            number = int.from_bytes(pen.identity.hub_id[-1:]) << 16 | pen.seq
            pen.held(1, account=guest, authorization=number)
            pen.captured(1, account=guest, authorization=number)
    handled = office.worker.on_messages([(pen.batch_topic, pen.batch()) for pen in pens])
    assert not handled.refusals
    assert office.alarms() == []


@pytest.fixture
def hall(office):
    """An office with two hubs, at each of which a guest has money."""
    other = office.enroll(OTHER_HUB, "bar")
    for guest, hub_id in ((GUEST, HUB), (OTHER_GUEST, OTHER_HUB)):
        office.top_up(1_000, account=guest, payment=guest.hex())
        office.lease(account=guest, hub_id=hub_id)
    for pen in (office.hub, other):
        office.worker.on_message(*pen.hello())
    return office, other


def test_batches_of_plays_never_go_through_a_tenants_accounts_balances_or_vouchers(hall, said):
    office, other = hall
    play(office, office.hub, other)
    play(office, office.hub)
    assert len(said) > 50
    assert whole_tables(office, said) == {}


def test_a_voucher_between_hubs_and_a_receipt_go_by_an_index_too(hall, said):
    office, other = hall
    entry, voucher = office.hub.passed(other, 150)
    office.take(office.hub.batch())
    other.taken(office.hub, entry.header.seq, 150, voucher)
    office.take(other.batch(), other)
    assert office.alarms() == []
    assert whole_tables(office, said) == {}


def test_a_receipt_asks_once_how_far_all_neighbours_are(office, said):
    for number in range(3):
        office.enroll(bytes([number + 1] * 16), f"hall-{number}")
    tamper(office, "UPDATE hubs SET epoch = 1")
    said.clear()
    books_of_hubs = HubBooks(office.store, TENANT, lambda: WALL_MS, on_hello=lambda *_: None)
    assert len(books_of_hubs.heard_of(HUB)) == 3
    assert sum("FROM chains" in " ".join(text.split()) for text in said) == 1
    assert whole_tables(office, said) == {}


@pytest.mark.parametrize("many", [1, 64, pytest.param(500, marks=pytest.mark.long)])
def test_however_many_are_asked_for_at_once(hall, said, many):
    office, _ = hall
    ids = [number.to_bytes(16, "big") for number in range(many)]
    with office.store.reading() as tx:
        books.guest_balances(tx, TENANT, ids)
        named = {"kinds": [kind.value for kind in Kind], "keys": [each.hex() for each in ids]}
        tx.execute(books._NUMBERS, {"tenant": TENANT, **named})
        tx.execute(books._STANDS, {"tenant": TENANT, "numbers": list(range(many))})
        list(chains.records_of_authorizations(tx, TENANT, [HUB], ids))
        lots.passing_of(tx, TENANT, dict.fromkeys(ids, ids[:1]), ids)
        lots.live_lots(tx, TENANT, dict.fromkeys(ids, ids[:1]))
        grants.live_leases(tx, TENANT, dict.fromkeys(ids, ids[:1]))
        places.hubs_by_id(tx, TENANT, ids)
        statements.numbers(tx, TENANT, ["purse", "lease", "passing"], GUEST.hex())
    assert whole_tables(office, said) == {}


def test_a_date_and_what_was_counted_are_found_by_their_index(office, said):
    counted = sorted(meters.COUNTINGS)
    with office.store.reading() as tx:
        list(meters.happened(tx, TENANT, [HUB], types=counted[:1], since=0, through=DAY))
        list(meters.happened(tx, TENANT, [HUB], types=[1, 2], since=DAY, through=DAY))
        meters.epochs_of_date(tx, TENANT, HUB, DAY)
    texts = [text for text in said if "entries" in text]
    with closing(sqlite3.connect(office.file)) as connection:
        plans = [connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()[0][3] for text in texts]
    assert ["entries_counted" in plan for plan in plans] == [True, False, False]
    assert ["entries_of_a_date" in plan for plan in plans] == [False, True, True]


def test_an_export_of_some_dates_asks_for_those_alone(hall, said):
    office, other = hall
    play(office, office.hub, other)
    with office.store.reading() as tx:
        every = takings.takings(tx, TENANT)
        assert takings.takings_between(tx, TENANT, first=0, last=DAY, venue_id=VENUE) == every != {}
        assert takings.takings_between(tx, TENANT, first=0, last=DAY) == every
        assert takings.takings_between(tx, TENANT, first=DAY + 1, last=DAY + 9) == {}
        assert takings.takings_between(tx, TENANT, first=0, last=DAY, venue_id=HUB) == {}
        said.clear()
        some = list(statements.posted_lines(tx, TENANT, first=DAY, last=DAY))
        walked = whole_tables(office, [text for text in said if "postings" in text]).values()
        by_dates = "entries_of_a_date (tenant_id=? AND hub_id=? AND business_date>? AND business_date<?)"
        assert all(by_dates in step for step in walked)
        assert some == list(statements.posted_lines(tx, TENANT, first=0, last=99_999_999)) != []


def test_without_the_hint_sqlite_goes_through_them_all(hall, said, monkeypatch):
    office, _ = hall
    plain = sa.select(books._NUMBERS.selected_columns.account_no).where(*books._NUMBERS._where_criteria)
    with office.store.reading() as tx:
        tx.execute(plain, {"tenant": TENANT, "kinds": ["purse"], "keys": [GUEST.hex()]})
    assert "accounts" in str(whole_tables(office, said))


def test_the_hint_is_sqlites_alone():
    assert "INDEXED BY" not in str(books._NUMBERS.compile(dialect=sa.dialects.postgresql.dialect()))
    assert by_index.OF_A_NAME in str(by_index.SQLiteWords(sa.dialects.sqlite.dialect(), books._NUMBERS))


def test_what_lanes_give_goes_through_no_days_of_its_hub_but_once(hall, said):
    office, _ = hall
    allow_intake(office, cap=300, credit=100)

    def gives():
        said.clear()
        number = office.hub.seq
        office.hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, number, 1, 1, "CNY", 100))
        brings_in(office.hub, 10, source=Source.LANE_CREDIT, number=number)
        assert office.take(office.hub.batch()).letters
        return list(whole_tables(office, said).values())

    office.take(office.hub.batch())
    (walk,) = gives()
    assert "entries_of_a_date" in walk
    assert [gives() for _ in range(2)] == [[], []]
    assert office.alarms() == []


def test_a_wish_for_a_lease_a_quiet_tick_and_a_hello_go_by_an_index(hall, said):
    office, other = hall
    office.hub.passed(other, 150)
    office.take(office.hub.batch())
    said.clear()
    office.worker.on_message(*office.hub.letter(LeaseRequest(GUEST), "request"))
    assert whole_tables(office, said) == {}
    office.worker.tick()
    said.clear()
    assert office.worker.tick() == []
    assert whole_tables(office, said) == {}
    assert office.worker.on_message(*office.hub.hello(acked_seq=1)).letters
    own = set(whole_tables(office, said).values())  # what is told of its documents to a hub that greets
    assert own == {"SEARCH documents USING PRIMARY KEY (tenant_id=? AND hub_id=?)"}


def test_what_is_open_or_somebodys_is_found_by_its_index(office, said):
    with office.store.reading() as tx:
        said.clear()
        grants.outstanding(tx, TENANT, HUB, unit="CNY")
        slips.outstanding(tx, TENANT)
        lots.passing(tx, TENANT, open_only=True)
        telemetry.days_of(tx, TENANT, HUB)
        consents.consents(tx, TENANT, GUEST)
        consents.templates(tx, TENANT, GUEST)
        loose_ends.settled_here(tx, TENANT, [GUEST])
        papers.newest_made(tx, TENANT)
    assert len(said) >= 8
    assert whole_tables(office, said) == {}
