"""Three sums side by side: a clean day gives none, twenty seeded discrepancies give twenty, with the right sum."""

import sqlite3
from contextlib import closing

import msgspec
import pytest
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from back_office.ledger import machine_day, reconcile, reconcile_meters
from back_office.ledger.reconcile import differences, sums_of_ledger
from back_office.store import meters, places, telemetry
from back_office.store.meters import Meter, OfficeReading
from back_office.store.telemetry import Day
from back_office.store.transaction import Transaction
from payment_core.day_sums import DaySums
from payment_core.journal import (
    Actor,
    BoxCounted,
    Captured,
    Cause,
    CoinBooked,
    Commanded,
    Held,
    InDoubt,
    MeterRead,
    PrizeSeen,
    Tampered,
    Tender,
    TicketsKept,
    decode_entry,
)
from payment_core.price_calendar import date_text
from payment_core.telemetry import encode_fact
from tests.back_office.ledger.test_verify import tamper
from tests.back_office.world import DAY, HUB, TENANT, VENUE, WALL_MS

MACHINE, BEFORE = "racer-2", DAY - 1
BEGAN = {"credits": 1_000, "coins": 500, "tickets": 100, "prizes": 10}
ROSE = {"credits": 7, "coins": 3, "tickets": 12, "prizes": 2}
"""Of the credits 1 was paid by card, 1 was a test, 2 were given away; 3 were coins."""
ENDED = {meter: BEGAN[meter] + rose for meter, rose in ROSE.items()}


class Evening:
    """A hub's two business dates: meters and boxes on the first, plays and counts on the second."""

    def __init__(self, office):
        self.office, self.pen = office, office.hub
        office.worker.on_message(*self.pen.hello())
        with office.store.writing() as tx:
            for meter in ("credits", "coins"):
                meters.declare(tx, TENANT, Meter(VENUE, MACHINE, meter, 100, "CNY", 5, WALL_MS, "ann"))

    def write(self, make, *, date=DAY, authorization=0, tender=Tender.PURSE):
        """Write an entry of a business date."""

        def dated(header):
            return make(msgspec.structs.replace(header, business_date=date, tender=tender, actor=Actor.GUEST))

        return self.pen.write(dated, authorization=authorization)

    def read(self, values, *, date=DAY, reset=False, note=""):
        """Read some meters of the machine."""
        for meter, value in values.items():
            self.write(lambda h, m=meter, v=value: MeterRead(1, h, MACHINE, m, v, "lin", note, reset), date=date)

    def play(self, number, *, credits=1, tender=Tender.PURSE):
        """Give credits at nobody's cost: what they cost is no matter to a meter."""
        of = {"authorization": number, "tender": tender}
        self.write(lambda h: Held(1, h, (), None, None, None, "reader-1", 1, number, 0, b"", "pass"), **of)
        self.write(lambda h: Commanded(1, h, "coin-1", number, credits), **of)
        self.write(lambda h: Captured(1, h, (), None, Cause.DEVICE), **of)

    def coin(self, number):
        """Let a coin of 100 fall."""
        self.write(lambda h: CoinBooked(1, h, "acceptor-1", 1, number, number, 1, "CNY", 100), tender=Tender.CASH)

    def count(self, counted, booked, *, box=MACHINE, kind="cash_box", date=DAY):
        """Count a box into the safe."""
        self.write(lambda h: BoxCounted(1, h, box, kind, "CNY", counted, booked, "safe", "lin"), date=date)

    def live(self, ended=ENDED, box=(300, 300)):
        """Write both dates."""
        self.read(BEGAN, date=BEFORE)
        self.count(0, 0, date=BEFORE)
        self.play(1)
        self.play(2, tender=Tender.TEST)
        self.play(3, credits=2, tender=Tender.COMP)
        for number in (1, 2, 3):
            self.coin(number)
        self.write(lambda h: TicketsKept(1, h, "tickets-1", 1, 1, "ticket", 12))
        self.write(lambda h: PrizeSeen(1, h, "sensor-1", 1, 1, 2))
        self.read(ended)
        self.count(*box)

    def send(self, change=lambda rows: rows):
        """Send it all, and the hub's own sums of the second date with it."""
        self.office.take(self.pen.batch())
        sums = DaySums(epoch=1, after_seq=0)
        for record, _ in self.pen.records:
            sums.add(decode_entry(record))
        day = sums.day(DAY, WALL_MS)
        day = msgspec.structs.replace(day, rows=tuple(change(list(day.rows))))
        with self.office.store.writing() as tx:
            kept = Day(DAY, HUB, 1, day.after_seq, day.through_seq, WALL_MS, encode_fact(day))
            telemetry.put(tx, TENANT, kept)

    def found(self):
        """Return what reconciliation finds."""
        with self.office.store.reading() as tx:
            return differences(tx, TENANT, places.venues(tx, TENANT)[0], DAY)


@pytest.fixture
def evening(office):
    return Evening(office)


def altered(kind, amount):
    def change(rows):
        place = next(n for n, row in enumerate(rows) if row.kind == kind)
        rows[place] = msgspec.structs.replace(rows[place], amount=rows[place].amount + amount)
        return rows

    return change


def ended(meter, by):
    return lambda evening: evening.live({**ENDED, meter: ENDED[meter] + by})


def boxed(counted, booked):
    return lambda evening: evening.live(box=(counted, booked))


def drawer(counted, booked):
    def live(evening):
        evening.live()
        evening.count(counted, booked, box="desk-1", kind="drawer")

    return live


def ran_off(count):
    def live(evening):
        evening.live()
        evening.write(lambda h: Tampered(1, h, "acceptor-1", 1, 9, count))

    return live


def told(change):
    return lambda evening: (evening.live(), evening.send(change))


def behind(statement):
    def live(evening):
        evening.live()
        evening.send()
        tamper(evening.office, statement)

    return live


COINS = "WHERE kind = 'cash_box' AND type = 10"
SEEDED = [
    (ended("credits", 1), "meter", "credits", 100),
    (ended("credits", -2), "meter", "credits", -200),
    (ended("credits", 40), "meter", "credits", 4_000),
    (ended("coins", 1), "meter", "coins", 100),
    (ended("coins", -3), "meter", "coins", -300),
    (ended("coins", 900), "meter", "coins", 90_000),
    (ended("tickets", 5), "meter", "tickets", 5),
    (ended("tickets", -12), "meter", "tickets", -12),
    (ended("prizes", 1), "meter", "prizes", 1),
    (ended("prizes", -2), "meter", "prizes", -2),
    (boxed(290, 300), "box_count", "cash_box counted", -10),
    (boxed(305, 300), "box_count", "cash_box counted", 5),
    (boxed(400, 400), "box_book", "cash_box booked", 100),
    (drawer(0, 50), "box_book", "drawer booked", 50),
    (ran_off(4), "device_counter", "acceptor-1", 4),
    (ran_off(31), "device_counter", "acceptor-1", 31),
    (told(altered("cash_box", -100)), "hub_journal", "CoinBooked cash_box", -100),
    (told(altered("tickets", 7)), "hub_journal", "TicketsKept tickets", 7),
    (behind(f"UPDATE takings SET amount = amount + 70 {COINS}"), "takings", "CoinBooked cash_box", 70),  # noqa: S608
    (behind(f"DELETE FROM takings {COINS}"), "takings", "CoinBooked cash_box", -300),  # noqa: S608
]  # fmt: skip


def test_a_clean_day_gives_none_and_misses_nothing(evening):
    evening.live()
    evening.send()
    found = evening.found()
    assert (found.differences, found.missing) == ([], [])
    assert found.compared > 12
    assert evening.office.prove().faults == []


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(SEEDED)))
def test_a_seeded_discrepancy_is_found_with_the_right_sum(evening, number):
    live, kind, what, amount = SEEDED[number]
    live(evening)
    if evening.pen.batch_seq == 0:
        evening.send()
    found = [one for one in evening.found().differences if (one.kind, one.what) == (kind, what)]
    assert [one.amount for one in found] == [amount]
    assert found[0].found - found[0].expected == amount
    others = {(one.kind, one.what) for one in evening.found().differences} - {(kind, what)}
    assert others <= {("box_count", "drawer counted")}, "and nothing else"


def test_there_are_twenty_of_every_kind():
    assert len(SEEDED) == 20
    assert {kind for _, kind, _, _ in SEEDED} == {
        "meter", "box_count", "box_book", "device_counter", "hub_journal", "takings"
    }  # fmt: skip


def test_the_largest_stands_first_and_says_what_it_was_made_of(evening):
    evening.live({**ENDED, "credits": ENDED["credits"] + 1, "coins": ENDED["coins"] + 9}, box=(290, 300))
    evening.write(lambda h: Held(1, h, (), None, None, None, "reader-1", 1, 9, 0), authorization=9)
    evening.send()
    found = evening.found().differences
    assert [(one.what, one.amount) for one in found] == [("coins", 900), ("credits", 100), ("cash_box counted", -10)]
    assert "coins 4 = meter 8 - our pulses 1 - test 1 - remote credit 2" in found[1].compared
    assert found[1].since == f"1000 on {date_text(BEFORE)} by lin (entry 2)"


def test_what_could_explain_it_is_told(evening):
    evening.read(BEGAN, date=BEFORE)
    of = {"authorization": 5}
    evening.write(lambda h: Held(1, h, (), None, None, None, "reader-1", 1, 5, 0, b"", "pass"), **of)
    evening.write(lambda h: Commanded(1, h, "coin-1", 5, 2), **of)
    evening.write(lambda h: InDoubt(1, h, (), None, Cause.SILENCE), **of)
    evening.read({**BEGAN, "credits": BEGAN["credits"] + 2}, note="it rattled")
    evening.send()
    (one,) = evening.found().differences
    assert (one.what, one.amount) == ("credits", 200)
    assert one.could_be[0] == "2 credits in doubt, which may have been given"
    assert one.could_be[-1] == "the note of lin: it rattled"


def missing(evening):
    found = evening.found()
    return found.differences, {(one.what, one.why) for one in found.missing}


def test_the_entries_at_machines_are_read_once(evening, monkeypatch):
    evening.live()
    evening.send()
    asked, happened = [], meters.happened

    def counted(tx, tenant_id, hubs, *, types, since, through):
        asked.append(types)
        return happened(tx, tenant_id, hubs, types=types, since=since, through=through)

    monkeypatch.setattr(meters, "happened", counted)
    office = evening.office
    with office.store.reading() as tx:
        found = reconcile_meters.compare_meters(tx, TENANT, VENUE, places.hubs(tx, TENANT), DAY)
    assert (found.differences, asked.count(machine_day.LOOKED_AT)) == ([], 1)


def test_what_nobody_read_is_missing_and_never_nothing(evening):
    evening.read(BEGAN, date=BEFORE)
    evening.coin(1)
    evening.send()
    found, gone = missing(evening)
    assert found == []
    assert gone == {(f"meter {meter}", f"it was not read on {date_text(DAY)}") for meter in BEGAN}


def test_a_build_that_takes_what_is_missing_for_nothing_is_caught(evening, monkeypatch):
    monkeypatch.setattr(reconcile_meters, "_not_there", lambda *_: "")
    monkeypatch.setattr(reconcile_meters, "_span", lambda rows, _date: [rows[-1], rows[-1]])
    evening.read(BEGAN, date=BEFORE)
    evening.coin(1)
    evening.send()
    assert missing(evening) != ([], {(f"meter {meter}", f"it was not read on {date_text(DAY)}") for meter in BEGAN})


def test_a_first_reading_and_a_hub_that_told_nothing_are_missing(evening):
    evening.read(BEGAN)
    evening.office.take(evening.pen.batch())
    found, gone = missing(evening)
    assert found == []
    assert {what for what, _ in gone} == {"hub_journal", *(f"meter {meter}" for meter in BEGAN)}
    assert any("there is nothing to count from" in why for _, why in gone)


def test_a_meter_that_ran_over_its_end_goes_on(evening):
    evening.read({"coins": 99_998, "tickets": 99_998}, date=BEFORE)
    evening.coin(1)
    evening.coin(2)
    evening.coin(3)
    evening.read({"coins": 1, "tickets": 1}, note="it ran over")
    evening.send()
    found, gone = missing(evening)
    assert found == []
    (why,) = [why for what, why in gone if what == "meter tickets"]
    assert {what for what, _ in gone} == {"meter tickets", "meter credits"}
    assert "nobody said how many digits it has" in why


@pytest.mark.parametrize("play", [False, True])
def test_a_meter_that_was_set_back_counts_on_where_nothing_lies_between(evening, play):
    evening.read({"coins": 700}, date=BEFORE)
    evening.coin(1)
    evening.read({"coins": 701})
    if play:
        evening.coin(2)
    evening.read({"coins": 5}, reset=True, note="exchanged")
    evening.coin(3)
    evening.read({"coins": 6})
    evening.send()
    found, gone = missing(evening)
    assert found == []
    assert [what for what, _ in gone if what != "meter credits"] == (["meter coins"] if play else [])


def test_a_reading_that_was_brought_to_the_office_counts_by_its_moment(evening):
    evening.read({"coins": 700}, date=BEFORE)
    evening.coin(1)
    evening.send()
    with evening.office.store.writing() as tx:
        meters.add_reading(
            tx, TENANT, OfficeReading(VENUE, MACHINE, "coins", 0, 703, 0, DAY, WALL_MS + 60_000, "ann", ""),
            now_ms=WALL_MS + 60_000,
        )
    (one,) = evening.found().differences
    until = f"703 on {date_text(DAY)} by ann (brought to the office)"
    assert (one.what, one.amount, one.until) == ("coins", 200, until)


def test_a_meter_of_which_nobody_said_what_it_is_worth_is_missing(evening):
    with evening.office.store.writing() as tx:
        tx.execute(meters.METERS.delete())
    evening.live()
    evening.send()
    found, gone = missing(evening)
    assert found == []
    assert {what for what, _ in gone} == {"meter credits", "meter coins"}


def test_a_build_that_forgets_test_plays_is_caught(evening, monkeypatch):
    evening.live()
    evening.send()
    assert evening.found().differences == []
    monkeypatch.setattr(
        machine_day, "_count_credits", lambda sums, tender, credits: setattr(sums, "pulses", sums.pulses + credits)
        if tender is not Tender.TEST else None
    )  # fmt: skip
    assert [one.amount for one in evening.found().differences] == [100]


@pytest.mark.sqlite
def test_it_cannot_create_money(evening):
    """It runs on a database that is opened for reading alone, and finds the same."""
    evening.live({**ENDED, "credits": 1}, box=(290, 300))
    evening.send()
    found = evening.found()
    office = evening.office
    with closing(sqlite3.connect(f"{office.file.as_uri()}?mode=ro", uri=True)) as connection:
        with closing(Transaction(connection, sqlite_dialect(paramstyle="named"))) as tx:
            venue = places.venues(tx, TENANT)[0]
            assert differences(tx, TENANT, venue, DAY) == found
        assert connection.total_changes == 0


def ledger_of(evening, path):
    """Write the hub's journal as its file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE entries(seq INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL)")
        rows = [(seq, *record) for seq, record in enumerate(evening.pen.records, start=1)]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


def test_a_hubs_own_file_tells_machines_apart(evening, tmp_path):
    evening.live()
    evening.send(altered("cash_box", 5))
    file = ledger_of(evening, tmp_path / "hub.sqlite3")
    tamper(evening.office, "UPDATE postings SET amount = amount - 30 WHERE amount = 100 AND seq < 19")
    with evening.office.store.reading() as tx:
        own = sums_of_ledger(tx, TENANT, file, DAY)
        found = differences(tx, TENANT, places.venues(tx, TENANT)[0], DAY, [own]).differences
    hubs = {(one.machine, one.what): one.amount for one in found if one.kind == "hub_journal"}
    assert hubs == {(MACHINE, "CoinBooked cash_box"): 30 * 3}
    assert own.by_machine


def test_what_the_books_count_to_another_date_is_of_that_date_in_the_hubs_own_file(evening, tmp_path):
    evening.live()
    evening.write(lambda header: CoinBooked(1, header, "coins", 1, 99, 1, 1, "CNY", 100), date=20261332)
    evening.send()
    file = ledger_of(evening, tmp_path / "hub.sqlite3")
    with evening.office.store.reading() as tx:
        own = sums_of_ledger(tx, TENANT, file, DAY)
        found = differences(tx, TENANT, places.venues(tx, TENANT)[0], DAY, [own]).differences
    assert [one for one in found if one.kind == "hub_journal"] == []


def test_a_build_that_goes_by_the_hubs_dates_is_caught(evening, tmp_path, monkeypatch):
    monkeypatch.setattr(reconcile.dated, "dates_of", lambda *_: {})
    with pytest.raises(AssertionError):
        test_what_the_books_count_to_another_date_is_of_that_date_in_the_hubs_own_file(evening, tmp_path)


def test_a_hub_that_counted_further_than_the_books_says_so(evening):
    evening.live()
    evening.send()
    evening.coin(7)
    sums = DaySums(epoch=1, after_seq=0)
    for record, _ in evening.pen.records:
        sums.add(decode_entry(record))
    with evening.office.store.writing() as tx:
        day = sums.day(DAY, WALL_MS)
        telemetry.put(tx, TENANT, Day(DAY, HUB, 1, 0, day.through_seq, WALL_MS, encode_fact(day)))
    found = evening.found().differences
    assert [(one.amount, one.could_be[0][:29]) for one in found if one.what == "CoinBooked cash_box"] == [
        (100, "the hub counted up to entry 2")
    ]  # fmt: skip
