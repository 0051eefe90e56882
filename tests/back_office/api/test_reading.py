"""Pages of the API: in the order of the journal, nothing twice and nothing left out, whatever comes between."""

import pytest

from back_office.store import pages
from back_office.store.tables import BATCHES, ENTRIES
from back_office.store.takings import TakingsPlace, grouped, move_takings
from payment_core.identifiers import uuid_text
from tests.back_office.api.desk import HUB_TEXT, told
from tests.back_office.world import DAY, GUEST, HUB, TENANT, VENUE

pytestmark = pytest.mark.long


@pytest.fixture
def played(api, office):
    """A guest has paid 1,000 and played four times for 100."""
    office.top_up(1_000)
    office.lease()
    office.take(office.hub.batch())
    play(office, 4)
    return api


def play(office, times, first=1):
    for number in range(first, first + times):
        office.hub.held(100, authorization=number)
        office.hub.captured(100, authorization=number)
        office.take(office.hub.batch())


def walked(api, key, path, *, most=50):
    """Return every item of a list, a page of two at a time."""
    items, cursor = [], ""
    for _ in range(most):
        page = told(api.get(f"{path}&limit=2{cursor}", key))
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"
    raise AssertionError(path)


def test_entries_come_in_the_order_of_the_journal_with_their_lines(played):
    found = walked(played, played.key("reader"), f"/entries?hub={HUB_TEXT}")
    assert [(one["epoch"], one["seq"]) for one in found] == [(1, number) for number in range(1, 10)]
    captured = [one for one in found if one["type"] == "Captured"]
    assert len(captured) == 4
    assert sum(line["amount"] for one in found for line in one["lines"]) == 0
    assert {(line["kind"], line["amount"]) for line in captured[0]["lines"]} == {("held", 100), ("revenue", -100)}


def test_a_hub_says_when_it_told_what_it_has(played, office):
    key = played.key("reader")
    assert told(played.get("/hubs", key))["items"][0]["told_ms"] is None
    office.worker.on_message(*office.hub.hello(outbox_entries=3))
    (hub,) = told(played.get("/hubs", key))["items"]
    assert (hub["outbox_entries"], hub["told_ms"]) == (3, office.now_ms)


def test_a_cursor_that_was_kept_goes_on_with_what_came_since(played, office):
    key = played.key("reader")
    page = told(played.get(f"/entries?hub={HUB_TEXT}&limit=8", key))
    play(office, 1, first=9)
    rest = told(played.get(f"/entries?hub={HUB_TEXT}&cursor={page['next']}", key))
    assert [one["seq"] for one in rest["items"]] == [9, 10, 11]


def test_batches_takings_and_audit_are_walked_whole(played):
    key = played.key("auditor")
    assert [one["number"] for one in walked(played, key, f"/batches?hub={HUB_TEXT}")] == [1, 2, 3, 4, 5]
    takings = walked(played, key, "/takings?first=2026-11-22&last=2026-11-22&by=machine&by=business_date")
    assert len(takings) == len({tuple(one.items()) for one in takings})
    assert sum(one["amount"] for one in takings) == 0
    assert [one["number"] for one in walked(played, key, "/audit?")] == [1]


def test_a_guests_statement_ends_at_what_is_there_now(played):
    key, account = played.key("reader"), uuid_text(GUEST)
    first = told(played.get(f"/accounts/{account}/statement?limit=2", key))
    rest = told(played.get(f"/accounts/{account}/statement?limit=100&cursor={first['next']}", key))
    assert (first["closing"], rest["opening"]) == (first["closing"], first["closing"])
    assert rest["closing"] == rest["now"] == [{"amount": 600, "unit": "CNY"}]


def test_takings_are_walked_whole_by_whatever_they_are_split_and_however_long_names_are(api, office):
    names = [letter * 128 for letter in ("\U0001f3b0", "机", "Z", "a", "é")]
    places = [
        TakingsPlace(VENUE, DAY + later, HUB, name, name, name, 3, 1, kind, "CNY")
        for name in names for later in range(2) for kind in ("revenue", "held")
    ]  # fmt: skip
    with office.store.writing() as tx:
        move_takings(tx, TENANT, dict.fromkeys(places, (1, 1)))
    key, split = api.key("reader"), "&by=machine&by=tender&by=lane&by=shift"
    for by, size in ((split, 10), (f"&by=business_date{split}", 20), ("&by=hub", 2)):
        path = f"/takings?first=2026-11-22&last=2026-11-23{by}"
        found = walked(api, key, path)
        assert found == told(api.get(f"{path}&limit=500", key))["items"]
        assert (len(found), sum(one["entries"] for one in found)) == (size, 20)


def test_a_page_of_takings_counts_no_date_again_that_was_told(office):
    asked = {"by": ["business_date"], "first": DAY, "last": DAY + 9, "venue_id": VENUE}
    with office.store.writing() as tx:
        move_takings(tx, TENANT, {
            TakingsPlace(VENUE, DAY + later, HUB, "", "", "", 3, 1, "revenue", "CNY"): (later, 1) for later in range(9)
        })  # fmt: skip
        whole = grouped(tx, TENANT, **asked)
        behind = grouped(tx, TENANT, **asked, after=(DAY + 3, 3, 1, "revenue", "CNY"), most=2)
    assert (len(whole), behind) == (9, whole[4:6])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/takings?first=2026-11-22&last=2026-11-22&machine=crane-05", "query.machine: not asked for here"),
        ("/alarms?since=1", "query.since: not asked for here"),
        ("/trial?x=1", "query.x: not asked for here; there is none"),
        ("/statements?kind=revenue&key=racer-1", "nothing was ever booked there; of revenue there are racer-2"),
        ("/statements?kind=purse&key=x", "nothing was ever booked there"),
        ("/takings?first=2026-11-30&last=2026-11-01", "query.last: it is before the first"),
    ],
)
def test_a_question_that_cannot_be_meant_is_no_other_question(played, path, said):
    answer = played.get(path, played.key("reader"))
    assert (answer.status, said in told(answer)["detail"]) == (422, True), told(answer)


@pytest.mark.sqlite
@pytest.mark.parametrize(("statement", "table"), [("_ENTRIES", ENTRIES), ("_BATCHES", BATCHES)])
def test_a_page_is_found_by_its_key_however_far_it_is(office, statement, table):
    with office.store.reading() as tx:
        values = {"tenant": TENANT, "hub": HUB, "epoch": 1, "seq": 5, "most": 10}
        words, filled = tx._words(getattr(pages, statement), values).filled(values)
        plan = " ".join(str(row[-1]) for row in tx._cursor.execute(f"EXPLAIN QUERY PLAN {words}", filled))
    assert "AND (epoch," in plan, plan
    assert "TEMP B-TREE" not in plan
    assert table.name in plan
