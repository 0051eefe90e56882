"""Trial balance, float, statements and takings are different sums of the same lines: they agree whatever happened."""

import itertools
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from back_office.business_day import day_bounds
from back_office.ledger import closing, liabilities, statement, trial
from back_office.ledger.closing import Z, make_z
from back_office.ledger.findings import Writer
from back_office.ledger.takings import LateJudge, TakingsCount
from back_office.store import books, places, statements, takings
from back_office.store.books import AccountName
from payment_core.accounts import Kind
from payment_core.journal import Actor, CoinBooked, Header, Tender, TimeQuality
from tests.back_office.world import DAY, GUEST, HUB, OTHER_GUEST, TENANT, VENUE, HubPen, Office
from tests.support.sizes import count

DAY_MS = 86_400_000
BEGINS_MS, _ = day_bounds(DAY, timezone="Asia/Shanghai", day_begins_minute=360)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("top_up"), st.sampled_from([GUEST, OTHER_GUEST]), st.integers(1, 5_000)),
        st.tuples(st.just("play"), st.sampled_from(["racer-1", "racer-2"]), st.integers(1, 400)),
        st.tuples(st.just("coin"), st.sampled_from(["early", None]), st.integers(1, 500)),
        st.tuples(st.just("send"), st.none(), st.none()),
        st.tuples(st.just("close"), st.none(), st.none()),
    ),
    max_size=14,
)


class Story:
    """Carries out steps; the hub's clock stays on the first date, the office's goes on with each closing."""

    def __init__(self, folder):
        self.office = Office(Path(folder))
        self.office.now_ms = BEGINS_MS + 1_000
        self.hub, self.count, self.days, self.leased = self.office.hub, 0, 0, 0
        self.zs = []
        self.machine, self.shift = "racer-2", None
        self.hub.header = self.header
        self.office.worker.on_message(*self.hub.hello())

    def header(self, **said):
        header = HubPen.header(self.hub, **said)
        return msgspec.structs.replace(header, machine=self.machine, lane=self.machine, shift=self.shift)

    def do(self, what, who, amount):
        self.count += 1
        self.office.now_ms += 1_000
        match what:
            case "top_up":
                self.office.top_up(amount, account=who, payment=f"p{self.count}")
                if who == GUEST:
                    self.leased += amount
                    self.office.lease()
            case "play":
                self.machine = who
                if amount <= self.leased:
                    self.leased -= amount
                    self.hub.held(amount, authorization=self.count)
                    self.hub.captured(amount, authorization=self.count)
            case "coin":
                self.shift = who
                self.hub.write(lambda header: CoinBooked(1, header, "coins", 1, self.count, 1, 1, "CNY", amount))
            case "send":
                if len(self.hub.records) > self.hub.sealed_records:
                    self.office.take(self.hub.batch())
            case "close":
                self.close()

    def close(self):
        begins_ms = BEGINS_MS + self.days * DAY_MS
        self.office.now_ms = begins_ms + DAY_MS + 1_000
        with self.office.store.writing() as tx:
            date = DAY + self.days
            made = make_z(tx, TENANT, places.venues(tx, TENANT)[0], date, by="Mei", now_ms=self.office.now_ms)
        assert isinstance(made, Z)
        self.zs.append(made)
        self.days += 1


def counted(lines):
    sums = Counter()
    for line in lines:
        sums[line.kind if isinstance(line.kind, str) else line.kind.value, line.unit] += line.amount
    return {place: amount for place, amount in sums.items() if amount}


def stands(tx):
    return {(line.kind, line.unit): line.amount for line in trial.balance(tx, TENANT).lines}


def all_told(tx, story):
    """Return what every Z says, and what stands in none yet."""
    lines = [line for z in story.zs for line in z.report.sums]
    lines += [line for z in story.zs for day in z.report.late for line in day.sums]
    venue, told = places.venues(tx, TENANT)[0], {z.report.business_date for z in story.zs}
    for date in {*takings.dates(tx, TENANT, venue.venue_id), DAY + story.days} - told:
        x = closing.x_report(tx, TENANT, venue, date, now_ms=story.office.now_ms)
        lines += x.sums
    x = closing.x_report(tx, TENANT, venue, DAY + story.days, now_ms=story.office.now_ms)
    return [*lines, *(line for day in x.late for line in day.sums)]


def told_story(folder, steps):
    story = Story(folder)
    for step in steps:
        story.do(*step)
    return story


@pytest.mark.long
@given(STEPS)
@settings(max_examples=count(800), deadline=None)
def test_every_report_is_the_same_money(steps):
    with tempfile.TemporaryDirectory() as folder:
        story = told_story(folder, steps)
        with story.office.store.reading() as tx:
            whole = stands(tx)
            assert trial.balance(tx, TENANT).ok
            for size in (0, 1, 3):
                for by in itertools.combinations(takings.GROUPINGS, size):
                    found = takings.grouped(tx, TENANT, by=by, first=0, last=99_999_999)
                    assert counted(found) == whole, by
            assert counted(all_told(tx, story)) == whole
            for line in liabilities.guests_float(tx, TENANT, now_ms=story.office.now_ms):
                assert line.total == line.booked
            for guest in (GUEST, OTHER_GUEST):
                page = statement.of_guest(tx, TENANT, guest)
                assert page.closing == page.now
            assert list(closing.check(tx, TENANT)) == []
        proof = story.office.prove()
        assert proof.ok, proof.faults
        story.office.store.close()


LATE = [("top_up", GUEST, 500), ("coin", None, 50), ("close", None, None), ("send", None, None)]


def test_a_build_that_does_not_judge_late_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(LateJudge, "told_in", lambda _self, _date: 0)
    story = told_story(tmp_path, LATE)
    with story.office.store.reading() as tx:
        assert any("its sums are not" in fault for fault in closing.check(tx, TENANT))
        assert counted(all_told(tx, story)) != stands(tx)
    story.office.store.close()


def test_a_build_that_forgets_a_posting_in_takings_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(takings, "move_takings", lambda *_: None)
    story = told_story(tmp_path, LATE)
    assert story.office.prove().first_bad.startswith("takings 2")  # its date, machine, kind and unit
    story.office.store.close()


def pages_of(office, most, account=GUEST):
    """Return a guest's whole statement, page by page."""
    after, pages = None, []
    with office.store.reading() as tx:
        while True:
            pages.append(statement.of_guest(tx, TENANT, account, after=after, most=most))
            after = pages[-1].after
            if after is None:
                return pages


def test_a_statement_names_every_line_and_runs_on_from_page_to_page(tmp_path):
    steps = [("top_up", GUEST, 900), ("play", "racer-2", 200), ("play", "racer-2", 100), ("send", None, None)]
    story = told_story(tmp_path, steps)
    story.office.now_ms += 1
    story.office.top_up(50, unit="bonus", payment="b")
    (whole,) = pages_of(story.office, 100)
    told = [(line.hub, line.machine, line.what, line.unit, line.amount, line.balance) for line in whole.lines]
    assert told == [
        ("", "", "ToppedUp", "CNY", 900, 900), ("hall", "racer-2", "Held", "CNY", -200, 700),
        ("hall", "racer-2", "Held", "CNY", -100, 600), ("", "", "ToppedUp", "bonus", 50, 50),
    ]  # fmt: skip
    assert (whole.opening, whole.closing, whole.now) == ({}, {"CNY": 600, "bonus": 50}, {"CNY": 600, "bonus": 50})
    pages = pages_of(story.office, 1)
    assert [line for page in pages for line in page.lines] == whole.lines
    with story.office.store.reading() as tx:
        assert list(statement.whole(tx, TENANT, Kind.PURSE, GUEST.hex())) == whole.lines
    for before, page in itertools.pairwise(pages):
        assert page.opening == before.closing
    story.office.store.close()


def test_every_line_of_every_entry_can_be_written_out(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(900)
    office.lease()
    office.hub.held(200)
    office.hub.captured(200)
    office.take(office.hub.batch())
    with office.store.reading() as tx:
        lines = list(statements.posted_lines(tx, TENANT, first=0, last=99_999_999))
        assert counted([line for line in lines if line.kind]) == stands(tx)
        assert len({(line.hub_id, line.seq) for line in lines}) == office.prove().entries
        assert [line.amount for line in lines if line.kind is None] == [None, None]  # two epochs that were opened
        assert list(statements.posted_lines(tx, TENANT, first=0, last=DAY - 1)) == []


def test_an_account_of_the_chart_has_a_statement_too(tmp_path):
    story = told_story(tmp_path, [("top_up", GUEST, 900), ("play", "racer-2", 200), ("send", None, None)])
    with story.office.store.reading() as tx:
        page = statement.of_account(tx, TENANT, Kind.REVENUE, "racer-2")
        assert [(line.what, line.amount, line.balance) for line in page.lines] == [("Captured", 200, 200)]
        assert not statement.is_known(tx, TENANT, Kind.REVENUE, "racer-9")
        assert statement.of_guest(tx, TENANT, OTHER_GUEST).lines == []
    story.office.store.close()


def test_what_comes_to_stand_before_a_page_that_was_read_shows_in_the_next_ones_opening(tmp_path):
    office = Office(tmp_path)
    for number in range(3):
        office.now_ms += 1_000
        office.top_up(100, payment=f"p{number}")
    with office.store.reading() as tx:
        first = statement.of_guest(tx, TENANT, GUEST, most=2)
    office.now_ms -= 1_500  # another worker's clock
    office.top_up(7, payment="late")
    with office.store.reading() as tx:
        second = statement.of_guest(tx, TENANT, GUEST, after=first.after)
        whole = statement.of_guest(tx, TENANT, GUEST)
    assert [line.amount for line in second.lines] == [100]
    assert (first.closing, second.opening, second.closing) == ({"CNY": 200}, {"CNY": 207}, second.now)
    assert [line.amount for line in whole.lines] == [100, 7, 100, 100]
    office.store.close()


@pytest.mark.parametrize(
    ("days", "age"), [(0, "0-30"), (30, "0-30"), (31, "31-90"), (91, "91-365"), (365, "91-365"), (366, "older")]
)
def test_the_float_is_as_old_as_its_lots(office, days, age):
    office.top_up(1_000)
    office.top_up(70, account=OTHER_GUEST, unit="bonus", payment="p2")
    office.lease()
    with office.store.reading() as tx:
        found = liabilities.guests_float(tx, TENANT, now_ms=office.now_ms + days * DAY_MS)
    assert [(line.unit, line.ages, line.total, line.put_aside, line.booked) for line in found] == [
        ("CNY", {age: 1_000}, 1_000, 0, 1_000), ("bonus", {age: 70}, 70, 0, 70),
    ]  # fmt: skip


def test_what_is_put_aside_is_told_apart(office):
    office.top_up(1_000)
    office.lease()
    office.hub.held(300)
    office.take(office.hub.batch())
    with office.store.reading() as tx:
        (line,) = liabilities.guests_float(tx, TENANT, now_ms=office.now_ms)
        assert (line.total, line.put_aside) == (700, 300)
        assert sum(amount for _, _, amount in books.balances_by_kind(tx, TENANT)) == 0


def test_an_entry_that_names_an_empty_machine_counts_with_those_that_name_none():
    header = Header(1, 1, bytes(16), 1, TimeQuality.SYNCED, DAY, Actor.DEVICE, Tender.CASH)
    count, writer = TakingsCount(TENANT), Writer(hub_id=HUB, venue_id=VENUE, stream=0, epoch=1)
    for machine in ("", None):
        entry = CoinBooked(1, msgspec.structs.replace(header, machine=machine), "coins", 1, 1, 1, 1, "CNY", 5)
        count.take(entry, writer, [(AccountName(Kind.CASH_BOX, "", HUB), "CNY", 5)], business_date=DAY)
    assert [(place.machine, sums) for place, sums in count.sums.items()] == [("", [10, 2])]
