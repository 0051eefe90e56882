"""A damaged ledger is moved aside whole, and the new epoch says what is missing; a cut anywhere changes nothing."""

import shutil

import msgspec
import pytest

from edge_agent.ledger import salvaged
from edge_agent.ledger.entries import Tail, read_tail
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.salvaged import BROUGHT_OVER, look_into
from edge_agent.ledger.store import PAGE_BYTES, LedgerError, SqliteStore
from edge_agent.start import salvage as room
from edge_agent.start.opening import Opened, Place, Shut, open_ledger
from edge_agent.start.salvage import SalvageRefusedError, salvage
from payment_core.journal import Actor, EpochOpened, Header, Tender, TimeQuality, decode_entry
from tests.support.hall import START_MS, VENUE_ID, Hall, commands

pytestmark = pytest.mark.long
HEADER = Header(1, START_MS, bytes(16), 5, TimeQuality.SYNCED, 20261122, Actor.STAFF, Tender.NONE, VENUE_ID)
DAMAGE = "page 3 is not what was written"


@pytest.fixture(name="place")
def place_fixture(tmp_path):
    """A ledger with sales, coins and a card's counter, noted as damaged."""
    place = Place(tmp_path / "state")
    place.make()
    furnish(place)
    place.note_damage(DAMAGE)
    return place


def furnish(place):
    opened = open_ledger(place, epoch=1)
    assert isinstance(opened, Opened)
    hall = Hall(place.ledger, open_store=lambda _path: opened.store)
    hall.enroll("anna", 5_000)
    for number in range(6):
        effects = hall.step(hall.tap("anna", lane=1 + number % 2))
        hall.step(*(hall.delivered(command) for command in commands(effects)), hall.coin())
        hall.pass_ms(3_000)
    opened.store.execute("BEGIN IMMEDIATE")
    opened.store.execute("INSERT INTO token_counters VALUES (x'01', 77)")
    opened.store.execute("INSERT INTO slips_taken VALUES (x'00112233445566778899aabbccddeeff', 5)")
    opened.store.commit()
    opened.mark.note(opened.store)
    opened.mark.close()
    opened.store.close()


def do(place, *, epoch=2, unsent_stays=True):
    return salvage(place, epoch=epoch, header=HEADER, by="ann", unsent_stays=unsent_stays)


def rows(path, table):
    reader = LedgerReader(path)
    try:
        return reader.rows(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608 - our own names
    finally:
        reader.close()


def first_record(place):
    return decode_entry(rows(place.ledger, "entries")[0][1])


def damage_table(place, table):
    """Change a byte on each page of a table in the file."""
    reader = LedgerReader(place.ledger)
    pages = [page for (page,) in reader.rows("SELECT pageno FROM dbstat WHERE name = ?", (table,))]
    reader.close()
    with place.ledger.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE_BYTES - 3)
            was = file.read(1)[0]
            file.seek(page * PAGE_BYTES - 3)
            file.write(bytes([was ^ 1]))


def test_everything_is_kept_and_the_first_record_says_what_is_missing(place):
    before = {file.name: file.read_bytes() for file in place.folder.iterdir() if file.suffix != ".ballast"}
    marks = {table: rows(place.ledger, table) for table in BROUGHT_OVER}
    tail = read_tail(LedgerReader(place.ledger))
    done = do(place)
    kept = {file.name: file.read_bytes() for file in place.folder.joinpath("quarantine", f"{START_MS}-1").iterdir()}
    assert {name: kept.get(name) for name in before} == before
    opened = first_record(place)
    assert isinstance(opened, EpochOpened)
    assert (opened.epoch, opened.previous_epoch, opened.cause) == (2, 1, "salvaged by ann")
    assert (opened.previous_seq, opened.previous_hash) == (tail.seq, tail.hash)
    assert {"leases", "list", "documents"} <= set(opened.missing)
    assert not {"entries", "slips_taken", *BROUGHT_OVER} & set(opened.missing)
    assert done.missing == opened.missing
    assert {table: rows(place.ledger, table) for table in BROUGHT_OVER} == marks
    assert marks["token_counters"] == [(b"\1", 77)]
    assert rows(place.ledger, "leases") == []


def test_a_hub_opens_it_and_goes_on_in_its_epoch(place):
    do(place)
    opened = open_ledger(place, epoch=2)
    assert isinstance(opened, Opened)
    hall = Hall(place.ledger, open_store=lambda _path: opened.store)
    assert hall.till.balance(bytes(16)) == {}
    hall.step()
    assert read_tail(opened.store).seq >= 1
    assert opened.store.rows("SELECT value FROM meta WHERE key = 'epoch'") == [(2,)]
    opened.mark.close()
    opened.store.close()


@pytest.mark.parametrize("table", sorted(BROUGHT_OVER))
def test_of_a_table_with_one_page_that_changed_nothing_is_brought_over(place, table):
    damage_table(place, table)
    do(place)
    assert table in first_record(place).missing
    assert rows(place.ledger, table) == []


def test_where_the_journal_is_broken_the_last_entry_that_fits_is_named(place):
    store = SqliteStore(place.ledger)
    store.execute("DROP TRIGGER entries_only_append")
    store.execute("UPDATE entries SET record = CAST(record || x'00' AS BLOB) WHERE seq = 7")
    at_six = Tail(*store.rows("SELECT seq, hash FROM entries WHERE seq = 6")[0])
    store.close()
    do(place)
    opened = first_record(place)
    assert (opened.previous_seq, opened.previous_hash) == (at_six.seq, at_six.hash)
    assert "entries" in opened.missing


@pytest.mark.parametrize("how", ["gone", "rubbish"])
def test_of_a_ledger_that_says_nothing_everything_is_missing(place, how):
    if how == "gone":
        place.ledger.unlink()
    else:
        place.ledger.write_bytes(b"a shopping list " * 200)
    do(place)
    opened = first_record(place)
    assert (opened.previous_epoch, opened.previous_seq) == (0, 0)
    assert {"entries", *BROUGHT_OVER} <= set(opened.missing)


def names(place):
    """Return what lies in the folder, but for what comes and goes with who reads it."""
    passing = (".ballast", ".tmp", ".mark", "-shm", "-wal", room.NEW_FOLDER)
    return sorted(file.name for file in place.folder.iterdir() if not file.name.endswith(passing))


def test_what_must_not_be_is_refused_and_nothing_moves(place, tmp_path):
    before = names(place)
    with pytest.raises(SalvageRefusedError, match="office hub replace"):
        do(place, epoch=1)
    with pytest.raises(SalvageRefusedError, match="without a receipt"):
        do(place, unsent_stays=False)
    assert names(place) == before
    sound = Place(tmp_path / "sound")
    sound.make()
    with pytest.raises(SalvageRefusedError, match="not known to be damaged"):
        do(sound)
    with place.held_alone(), pytest.raises(LedgerError, match="another program"), place.held_alone():
        pass


class CutError(Exception):
    """The power goes."""


def acts_of(place, monkeypatch, cut_at):
    """Salvage with each rename, write and removal counted; the power goes before number `cut_at`."""
    done = [0]

    def counted(really):
        def act(*arguments, **more):
            done[0] += 1
            if done[0] == cut_at:
                raise CutError
            return really(*arguments, **more)

        return act

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink", "write_bytes", "mkdir"):
            patch.setattr(type(place.folder), name, counted(getattr(type(place.folder), name)))
        patch.setattr(room, "begin", counted(room.begin))
        patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
        do(place)
    return done[0]


def state_after(place):
    """Return what is in place and in quarantine, without what differs from run to run."""
    entry = first_record(place)
    aside = sorted(file.name for file in place.folder.joinpath("quarantine", f"{START_MS}-1").iterdir())
    return entry, aside, names(place)


def test_cut_off_before_any_act_it_is_finished_by_running_it_again(tmp_path, monkeypatch):
    whole = Place(tmp_path / "whole" / "state")
    whole.folder.parent.mkdir()
    whole.make()
    furnish(whole)
    whole.note_damage(DAMAGE)
    shutil.copytree(whole.folder.parent, tmp_path / "origin")
    acts = acts_of(whole, monkeypatch, cut_at=0)
    expected = state_after(whole)
    assert acts > 10
    for cut_at in range(1, acts + 1):
        shutil.copytree(tmp_path / "origin", tmp_path / f"cut-{cut_at}")
        place = Place(tmp_path / f"cut-{cut_at}" / "state")
        with pytest.raises(CutError):
            acts_of(place, monkeypatch, cut_at)
        if place.is_being_salvaged:
            with pytest.raises(LedgerError, match="salvage was begun"):
                open_ledger(place, epoch=2)
        elif place.damage:
            assert isinstance(open_ledger(place, epoch=2), Shut)
        if place.is_being_salvaged or place.damage:
            do(place)
        assert state_after(place) == expected, f"cut before act {cut_at}"
        shutil.rmtree(place.folder.parent)


def test_a_salvage_that_unlinks_is_caught(place, monkeypatch):
    monkeypatch.setattr(room, "move_aside", lambda path, _into: [file.unlink() for file in salvaged_files(path)])
    with pytest.raises((AssertionError, FileNotFoundError)):
        test_everything_is_kept_and_the_first_record_says_what_is_missing(place)


def salvaged_files(path):
    return room.files_of(path)


def test_an_epoch_that_hides_what_is_missing_is_caught(place, monkeypatch):
    def hides(path):
        return msgspec.structs.replace(look_into(path), missing=())

    monkeypatch.setattr(room, "look_into", hides)
    with pytest.raises(AssertionError):
        test_everything_is_kept_and_the_first_record_says_what_is_missing(place)


def test_a_salvage_that_believes_damaged_pages_is_caught(place, monkeypatch):
    monkeypatch.setattr(salvaged.PageSums, "damaged", lambda *_pages: [])
    with pytest.raises(AssertionError):
        test_of_a_table_with_one_page_that_changed_nothing_is_brought_over(place, "device_marks")
