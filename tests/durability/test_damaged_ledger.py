"""DUR-6: a disk that changes the ledger by itself is found out, whatever it changed; what is intact is still there.

Each run damages a copy of a ledger that was killed in mid-session, its database or its WAL, then starts it.
"""

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.protocol.envelope import batch_hash
from edge_agent.ledger import outbox, page_sums, tail_mark
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.integrity import full_check
from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.rescue import Rescue
from edge_agent.ledger.store import LedgerDamagedError
from edge_agent.ledger.tail_mark import TailMark
from edge_agent.start.opening import Opened, Place, open_ledger
from tests.support.sale_child import EPOCH, MONEY, furnish
from tests.support.sale_runs import sell, sell_until_killed
from tests.support.sizes import count

pytestmark = pytest.mark.slow
RUNS = 500
SECTOR, PAGE = 512, 1_024
SEALED = 40
"""How many entries the batch in the outbox has."""


def flip_bit(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def zero_sector(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data) // SECTOR) * SECTOR
    data[start : start + SECTOR] = bytes(SECTOR)


def swap_pages(data: bytearray, dice: random.Random) -> None:
    one, other = dice.sample(range(len(data) // PAGE), 2)
    first, second = (bytes(data[page * PAGE : (page + 1) * PAGE]) for page in (one, other))
    data[one * PAGE : (one + 1) * PAGE], data[other * PAGE : (other + 1) * PAGE] = second, first


def truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


DAMAGE = (flip_bit, zero_sector, swap_pages, truncate)
FILES = ("ledger.sqlite3", "ledger.sqlite3-wal")


def contents(store) -> dict[str, list]:
    """Every row of every table."""
    tables = [name for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {table: sorted(map(repr, store.rows(f"SELECT * FROM {table}"))) for table in tables}  # noqa: S608


def seal_a_batch(folder: Path) -> None:
    """Let the outbox have a batch; of its bytes only hash and tail hash count here."""
    opened = open_ledger(Place(folder), epoch=EPOCH)
    assert isinstance(opened, Opened)
    ((tail,),) = opened.store.rows("SELECT hash FROM entries WHERE seq = ?", (SEALED,))
    data = bytes(108) + tail + bytes(5_000)
    opened.store.execute("BEGIN IMMEDIATE")
    outbox.store_batch(opened.store, SealedBatch(1, 1, SEALED, batch_hash(data), data))
    opened.store.commit()
    opened.mark.note(opened.store)
    opened.mark.close()
    opened.store.close()


def is_marked_to_its_end(folder: Path) -> bool:
    """Say whether the kill came behind the mark; between a commit and its mark nothing has been acknowledged yet."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    mark = TailMark(Place(copy).mark)
    with closing(LedgerReader(Place(copy).ledger)) as reader, closing(mark):
        marked = mark.read()
        is_same = marked is not None and marked.tail == read_tail(reader)
    shutil.rmtree(copy)
    return is_same


@pytest.fixture(scope="module", name="killed")
def killed_fixture(tmp_path_factory) -> Path:
    """A ledger with a sealed batch, checkpointed pages and a WAL that was not, as a kill leaves it."""
    folder = tmp_path_factory.mktemp("killed") / "state"
    furnish(folder)
    sell(folder, run=1, sales=60)
    seal_a_batch(folder)
    for run in range(2, 50):
        sell_until_killed(folder, run, 80)
        if is_marked_to_its_end(folder):
            break
    assert (folder / "ledger.sqlite3-wal").stat().st_size > 20 * PAGE
    return folder


@pytest.fixture(scope="module", name="truth")
def truth_fixture(killed, tmp_path_factory) -> dict[str, list]:
    copy = tmp_path_factory.mktemp("truth") / "state"
    shutil.copytree(killed, copy)
    opened = open_ledger(Place(copy), epoch=EPOCH)
    assert isinstance(opened, Opened)
    for _ in full_check(opened.store, opened.store.sums, Place(copy).ledger):
        pass
    found = contents(opened.store)
    opened.store.close()
    return found


def start_after(folder: Path) -> dict[str, list] | str:
    """Start as the hub does, and check as it does beside the till; return what it would trade on, or what it found."""
    place = Place(folder)
    opened = open_ledger(place, epoch=EPOCH)
    if not isinstance(opened, Opened):
        assert opened.fault == "damaged", opened
        return opened.why
    try:
        for _ in full_check(opened.store, opened.store.sums, place.ledger):
            pass
        return contents(opened.store)
    except LedgerDamagedError as error:
        return str(error)
    finally:
        opened.store.abandon()
        opened.mark.close()


def intact_records(folder: Path) -> list[bytes]:
    """Return what the damaged ledger would still seal for the office, behind what is sealed."""
    with closing(Rescue(Place(folder).ledger, epoch=EPOCH)) as rescue:
        facts = rescue.upload_facts()
        assert all(batch_hash(batch.sealed) == batch.hash for batch in facts.waiting)
        return rescue.records(facts.last_seq, 100_000)


def damage(killed: Path, folder: Path, number: int) -> str:
    """Copy and damage; return what was done."""
    shutil.copytree(killed, folder)
    dice = random.Random(number)
    name, act = FILES[number % 2], DAMAGE[number // 2 % len(DAMAGE)]
    file = folder / name
    data = bytearray(file.read_bytes())
    act(data, dice)
    file.write_bytes(data)
    (folder / "ledger.sqlite3-shm").unlink()  # the next boot has none
    return f"{act.__name__} in {name}, run {number}"


def undetected(killed: Path, truth: dict[str, list], folder: Path, number: int) -> str:
    """Return what was changed without being noticed; empty where nothing was."""
    what = damage(killed, folder, number)
    found = start_after(folder)
    if isinstance(found, str):
        records = intact_records(folder)
        entries = {row.split(", ")[1] for row in truth["entries"]}
        altered = [record for record in records if repr(record) not in entries]
        shutil.rmtree(folder)
        return f"{what}: {len(altered)} altered records would go up" if altered else ""
    shutil.rmtree(folder)
    changed = [table for table in truth if found.get(table) != truth[table]]
    return f"{what}: {', '.join(changed)} changed and nobody noticed" if changed else ""


def all_undetected(killed: Path, truth: dict[str, list], folder: Path, runs: int) -> list[str]:
    found = (undetected(killed, truth, folder / str(number), number) for number in range(runs))
    return [what for what in found if what]


def test_no_damage_goes_unnoticed(killed, truth, tmp_path):
    assert all_undetected(killed, truth, tmp_path, max(40, count(RUNS))) == []


def test_most_of_a_ledger_with_one_bad_page_still_goes_up(killed, truth, tmp_path):
    """A page in the middle is gone; everything before it is intact and not in the office yet."""
    folder = tmp_path / "state"
    shutil.copytree(killed, folder)
    with closing(LedgerReader(Place(folder).ledger)) as reader:
        entries = len(truth["entries"])
        assert len(reader.records(0, entries)) == entries
    file = folder / "ledger.sqlite3"
    data = bytearray(file.read_bytes())
    wanted = [place for place in range(0, len(data), PAGE) if data[place] == 13]  # leaf pages of tables
    at = wanted[len(wanted) // 2]
    data[at + PAGE // 2 : at + PAGE] = bytes(PAGE // 2)
    file.write_bytes(data)
    assert isinstance(start_after(folder), str)
    assert len(intact_records(folder)) >= 20


def with_another_amount(folder: Path) -> None:
    """Furnish, sell, close; then the disk turns one bit of what a guest has, which no rule of the tables can see."""
    furnish(folder)
    sell(folder, run=1, sales=3)
    file = folder / "ledger.sqlite3"
    with closing(LedgerReader(file)) as reader:
        page = reader.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'leases'")[0][0]
    data = file.read_bytes()
    place = data.index(MONEY.to_bytes(4, "big"), (page - 1) * PAGE, page * PAGE)
    file.write_bytes(data[: place + 1] + bytes([data[place + 1] ^ 2]) + data[place + 2 :])


def test_an_amount_that_changes_by_itself_is_noticed(tmp_path):
    with_another_amount(tmp_path / "state")
    found = start_after(tmp_path / "state")
    assert isinstance(found, str)
    assert "is not what was written" in found


def test_a_build_without_page_checksums_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(page_sums.PageSums, "damaged", lambda *_: [])
    with_another_amount(tmp_path / "state")
    found = start_after(tmp_path / "state")
    assert isinstance(found, dict)
    assert f"{MONEY ^ 2 << 16}" in found["leases"][0]


def test_a_build_without_a_mark_is_caught(killed, truth, tmp_path, monkeypatch):
    monkeypatch.setattr(tail_mark.TailMark, "missing", lambda *_: "")
    assert all_undetected(killed, truth, tmp_path, 60) != []
