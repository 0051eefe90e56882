"""Each document counts from its own moment on, by a clock that is to be trusted, also over restarts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.ledger import documents
from edge_agent.ledger.reader import LedgerReader
from edge_agent.messages import DocumentArrived, Show
from edge_agent.office.in_force import WAITING_LIMIT
from payment_core.journal import Captured, Held, TimeQuality
from payment_core.pricing import LocalTime
from tests.support.hall import START_MS, Hall, logged, prices_document, the_command, the_view
from tests.support.ledger_truth import entries, faults_of

HOUR_MS = 3_600_000


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    yield made
    made.store.close()


def prices(version, minor, at_ms=0):
    return DocumentArrived("prices", version, prices_document([{"price": [[minor, "CNY"]]}], version), at_ms)


def in_force(hall):
    return hall.till._site.price_version


def version_at_ledger(hall):
    """Return what a restart would put in force."""
    return hall.store.rows("SELECT version FROM documents WHERE name = 'prices'")[0][0]


def shown(effects):
    return [(effect.lane, effect.view.price) for effect in effects if isinstance(effect, Show)]


def test_a_list_waits_for_its_moment_and_then_counts(hall):
    hall.enroll("card-7", 1_000)
    assert logged(hall.step(prices(2, 300, START_MS + HOUR_MS))) == ["document.waits"]
    assert (in_force(hall), version_at_ledger(hall)) == (1, 1)
    hall.wait(HOUR_MS - 1)
    assert the_view(hall.step(hall.tap("card-7"))).price == 200
    effects = hall.wait(1)
    assert logged(effects) == ["document.taken"]
    assert ("lane-2", 300) in shown(effects)
    assert (in_force(hall), version_at_ledger(hall)) == (2, 2)
    assert hall.wait(1) == []
    assert faults_of(hall.store) == []


def test_the_moment_comes_before_what_arrives_with_it(hall):
    hall.enroll("card-7", 1_000)
    hall.step(prices(2, 100, START_MS + HOUR_MS))
    hall.pass_ms(HOUR_MS)
    views = [effect.view for effect in hall.step(hall.tap("card-7")) if isinstance(effect, Show)]
    assert ("held", 100) in [(view.state, view.price) for view in views]


def test_a_moment_that_is_past_is_at_once(hall):
    assert logged(hall.step(prices(2, 300, START_MS))) == ["document.taken"]
    assert in_force(hall) == 2


def test_a_waiting_version_survives_a_restart_and_comes_on_time(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS))
    hall.restart()
    hall.step()
    assert in_force(hall) == 1
    hall.pass_ms(HOUR_MS)
    hall.restart()
    assert logged(hall.step()) == ["document.taken"]
    assert in_force(hall) == 2
    hall.restart()
    assert in_force(hall) == 2


def test_a_waiting_version_counts_as_had(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS))
    reader = LedgerReader(hall.path)
    assert reader.versions()["prices"] == 2
    reader.close()
    assert hall.step(prices(2, 300, START_MS + HOUR_MS)) == []
    assert logged(hall.step(prices(1, 999))) == []


def test_a_later_version_at_once_overtakes_one_that_waits(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS))
    hall.step(prices(3, 400))
    assert in_force(hall) == 3
    hall.wait(2 * HOUR_MS)
    assert in_force(hall) == 3
    assert documents.waiting(hall.store) == []


def test_several_wait_in_a_row_and_one_that_would_come_too_late_never_comes(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS), prices(3, 400, START_MS + 3 * HOUR_MS))
    hall.step(prices(4, 500, START_MS + 2 * HOUR_MS))
    assert [held.version for held in documents.waiting(hall.store)] == [2, 4]
    found = []
    for _ in range(4):
        hall.wait(HOUR_MS)
        found.append(in_force(hall))
    assert found == [2, 4, 4, 4]


def test_after_a_long_sleep_the_highest_whose_moment_has_come_counts_at_once(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS), prices(3, 400, START_MS + 2 * HOUR_MS))
    hall.pass_ms(5 * HOUR_MS)
    assert logged(hall.step()) == ["document.taken"]
    assert in_force(hall) == 3


def test_only_so_many_wait(hall):
    for n in range(WAITING_LIMIT):
        hall.step(prices(2 + n, 300, START_MS + (n + 1) * HOUR_MS))
    one_more = prices(2 + WAITING_LIMIT, 300, START_MS + 20 * HOUR_MS)
    assert logged(hall.step(one_more)) == ["document.dropped", "document.waits"]
    waiting = [held.version for held in documents.waiting(hall.store)]
    assert waiting == [*range(2, 1 + WAITING_LIMIT), 2 + WAITING_LIMIT]
    hall.wait(21 * HOUR_MS)
    assert in_force(hall) == 2 + WAITING_LIMIT


def test_what_cannot_be_read_is_refused_when_it_comes_and_not_at_its_moment(hall):
    broken = DocumentArrived("prices", 2, b'{"version": 2, "unit": "CNY"}', START_MS + HOUR_MS)
    assert logged(hall.step(broken)) == ["document.refused"]
    assert documents.waiting(hall.store) == []


def test_a_waiting_version_that_a_release_no_longer_reads_never_counts(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS))
    hall.store.execute("BEGIN IMMEDIATE")
    hall.store.execute("UPDATE document_archive SET content = x'00' WHERE version = 2")
    hall.store.commit()
    assert logged(hall.wait(HOUR_MS)) == ["document.refused"]
    assert (in_force(hall), documents.waiting(hall.store)) == (1, [])


# ------------------------------------------------------------------------------------------------- a clock in doubt
class Blind(Hall):
    """A hall whose clock's quality is set by hand."""

    quality = TimeQuality.SYNCED

    def moment(self):
        """Read the clocks; below held there is no local time."""
        known = self.quality <= TimeQuality.HELD
        moment = super().moment()
        return msgspec.structs.replace(moment, quality=self.quality, local=self.local if known else None)


@pytest.fixture
def blind(tmp_path):
    made = Blind(tmp_path / "ledger.sqlite3")
    yield made
    made.store.close()


@pytest.mark.parametrize("quality", [TimeQuality.PEER, TimeQuality.FLOOR, TimeQuality.NONE])
def test_a_clock_below_held_switches_nothing_forward(blind, quality):
    blind.step(prices(2, 300, START_MS + HOUR_MS))
    blind.quality = quality
    blind.wait(2 * HOUR_MS)
    assert in_force(blind) == 1
    assert logged(blind.step(prices(3, 400, START_MS + 2 * HOUR_MS))) == ["document.waits"]
    blind.quality = TimeQuality.HELD
    assert logged(blind.wait(1_000)) == ["document.taken"]
    assert in_force(blind) == 3


def test_what_a_good_clock_has_seen_has_come_although_it_is_lost_since(blind):
    blind.wait(HOUR_MS)
    blind.quality = TimeQuality.FLOOR
    assert logged(blind.step(prices(2, 300, START_MS + HOUR_MS))) == ["document.taken"]
    assert logged(blind.step(prices(3, 400, START_MS + HOUR_MS + 1))) == ["document.waits"]


def test_a_hub_with_nothing_takes_what_it_gets(tmp_path):
    hall = Blind(tmp_path / "ledger.sqlite3")
    hall.quality = TimeQuality.NONE
    calendar = DocumentArrived("calendar", 1, b'{"version": 1}', START_MS + HOUR_MS)
    assert logged(hall.step(calendar)) == ["document.taken"]
    assert hall.till._site.calendar.version == 1
    hall.store.close()


def test_a_good_clock_with_nothing_in_force_still_waits(hall):
    assert logged(hall.step(DocumentArrived("calendar", 1, b'{"version": 1}', START_MS + HOUR_MS))) == [
        "document.waits"
    ]
    assert logged(hall.wait(HOUR_MS)) == ["document.taken"]


def test_a_clock_that_goes_back_takes_nothing_back(hall):
    hall.step(prices(2, 300, START_MS + HOUR_MS))
    hall.wait(HOUR_MS)
    hall.wall_ms -= 100 * HOUR_MS
    hall.step()
    hall.restart()
    hall.step()
    assert in_force(hall) == 2


def test_a_calendar_that_comes_into_force_is_shown_at_once(hall):
    rules = [{"price": [[200, "CNY"]]}, {"price": [[300, "CNY"]], "days": ["holiday"]}]
    hall.local = LocalTime(4, 600, 20261001)
    hall.step(DocumentArrived("prices", 2, prices_document(rules, 2)))
    hall.step(DocumentArrived("calendar", 1, b'{"version": 1, "days": {"2026-10-01": "holiday"}}', START_MS + HOUR_MS))
    assert shown(hall.wait(HOUR_MS)) == [("lane-1", 300), ("lane-2", 300)]


# --------------------------------------------------------------------------------------------------- sales under way
def test_a_sale_in_progress_ends_on_the_version_it_began_with(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(prices(2, 300))
    hall.step(hall.delivered(command))
    sale = [entry for entry in entries(hall.store) if isinstance(entry, Held | Captured)]
    assert [(type(entry), entry.header.price_list_version) for entry in sale] == [(Held, 1), (Captured, 1)]
    assert sale[0].header.price_list_hash == sale[1].header.price_list_hash
    assert sum(part.amount for part in sale[1].parts) == 200


def test_a_shown_price_is_paid_for_thirty_seconds_and_its_entry_names_its_list(hall):
    hall.enroll("card-7", 1_000)
    hall.step(prices(2, 300))
    hall.wait(30_000)
    assert the_view(hall.step(hall.tap("card-7"))).price == 200
    hall.wait(1_000)
    assert the_view(hall.step(hall.tap("card-7", lane=2))).price == 300
    held = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert [(entry.header.price_list_version, entry.parts[0].amount) for entry in held] == [(1, 200), (2, 300)]


def test_a_coin_pays_the_price_that_was_shown(hall):
    hall.step(hall.coin(1))
    hall.step(prices(2, 300))
    effects = hall.step(hall.coin(1))
    assert the_view([effect for effect in effects if isinstance(effect, Show)]).price == 200
    held = next(entry for entry in entries(hall.store) if isinstance(entry, Held))
    assert (held.header.price_list_version, held.parts[0].amount) == (1, 200)


def test_a_busy_lane_is_not_repainted_and_its_price_stands_until_it_is(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    assert shown(hall.step(prices(2, 300))) == [("lane-2", 300)]
    hall.wait(60_000, hall.delivered(command))
    hall.wait(1_000)
    assert the_view(hall.step(hall.tap("card-7"))).price == 200  # the page went back to what it had shown
    hall.local = LocalTime(6, 601)
    assert ("lane-1", 300) not in shown(hall.step())  # busy again


# ------------------------------------------------------------------------------------------------------- any order
ARRIVALS = st.lists(
    st.tuples(st.integers(2, 9), st.one_of(st.just(0), st.integers(1, 8)), st.integers(0, 2), st.booleans()),
    max_size=12,
)


@pytest.mark.long
@given(ARRIVALS)
def test_the_highest_version_whose_moment_has_come_is_in_force(tmp_path_factory, arrivals):
    """Versions rise as they are made, whatever their moments; restarts in between change nothing."""
    hall = Hall(tmp_path_factory.mktemp("hall") / "ledger.sqlite3", lanes=1)
    try:
        had = {1: 0}
        for version, hours, pause, restart in arrivals:
            at_ms = START_MS + hours * HOUR_MS if hours else 0
            fresh = version > max(had)
            if fresh:
                had[version] = at_ms
            hall.step(prices(version, 100 + version, at_ms))
            hall.wait(pause * HOUR_MS)
            if restart:
                hall.restart()
                hall.step()
            come = [number for number, moment in had.items() if moment <= hall.wall_ms]
            assert in_force(hall) == version_at_ledger(hall) == max(come)
    finally:
        hall.store.close()


@pytest.mark.parametrize("in_ms", [0, HOUR_MS])
def test_coins_never_change_their_currency(hall, in_ms):
    content = msgspec.json.encode({"version": 2, "unit": "VND", "rules": [{"price": [[100, "VND"]]}]})
    hall.step(hall.coin())
    before = hall.store.rows("SELECT * FROM coin_credit")
    said = logged(hall.step(DocumentArrived("prices", 2, content, START_MS + in_ms)))
    if in_ms:
        assert said == ["document.waits"]
        said = logged(hall.wait(in_ms))
    assert said == ["document.refused"]
    assert (in_force(hall), hall.till._site.currency) == (1, "CNY")
    assert hall.store.rows("SELECT * FROM coin_credit") == before
    assert faults_of(hall.store) == []
