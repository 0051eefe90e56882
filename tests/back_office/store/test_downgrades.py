"""The office's books go up and down between versions, on SQLite and PostgreSQL, and lose nothing that both know."""

import itertools
import shutil
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from back_office.ledger.verify import prove_books
from back_office.store import acts, engine
from back_office.store.downgrade import go_down
from back_office.store.engine import known_versions, open_store, sqlite_url
from back_office.store.faults import StoreDowngradeError, StoreUnavailableError
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT, VENUE, WALL_MS, Office
from tests.support.books import Books, common
from tests.support.sizes import count

pytestmark = pytest.mark.slow
VERSIONS = tuple(reversed(known_versions()))
"""The oldest first."""
RELEASED = "0015"
"""Of the release before this one."""
MOST_STATEMENTS = 200
LAST_WITHOUT_LOTS = "0003"
EMPTIED = {
    ("token_readings", "*"), ("card_uses", "*"), ("risk_rules", "*"), ("risk_marks", "*"), ("entries", "posted"),
}  # fmt: skip
"""What a way back empties and a way forth does not fill: it is learnt anew, or judged as what is older than it."""

OLD = {
    "tenants": {"tenant_id": [TENANT], "name": ["Star Arcade"], "created_ms": [1]},
    "venues": {
        "tenant_id": [TENANT], "venue_id": [VENUE], "name": ["Hall"], "timezone": ["Asia/Shanghai"],
        "day_begins_minute": [360], "hub_lease_cap": [2_000_000],
    },
    "hubs": {
        "tenant_id": [TENANT], "hub_id": [HUB], "venue_id": [VENUE], "name": ["hall"], "sign_key": [bytes(32)],
        "seal_key": [bytes(32)], "enrolled_ms": [1], "epoch": [1], "allowed_epoch": [1], "frozen": [""],
        "hello_number": [0], "nonce": [b""], "last_seen_ms": [None], "sealed_seq": [0], "outbox_entries": [0],
        "outbox_age_ms": [0],
    },
    "guest_accounts": {
        "tenant_id": [TENANT], "account_id": [GUEST], "masked_name": [""], "language": [""], "tier": [""],
        "age_band": ["unknown"], "created_ms": [1],
    },
    "payments": {
        "tenant_id": [TENANT] * 2, "channel": ["counter"] * 2, "payment_id": ["p1", "p2"], "account_id": [GUEST] * 2,
        "unit": ["CNY"] * 2, "amount": [600, 400], "office_seq": [2, 3],
    },
    "leases": {
        "tenant_id": [TENANT], "account_id": [GUEST], "unit": ["CNY"], "hub_id": [HUB], "epoch": [1],
        "granted": [700], "settled": [300], "overclaimed": [20], "granted_seq": [5],
    },
}  # fmt: skip
"""Rows of version 0003, from before there were lots."""


@pytest.fixture(params=["sqlite", "postgresql"])
def books(request, tmp_path):
    if request.param == "sqlite":
        made = Books(sqlite_url(tmp_path / "office.sqlite"))
    else:
        made = Books(request.getfixturevalue("empty_postgres_url"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Real office code fills a book: money paid in, leased, spent, given back and passed on, a hub frozen."""
    office = Office(tmp_path_factory.mktemp("filled"))
    other = office.enroll(OTHER_HUB, "bar")
    office.top_up(1_000)
    office.top_up(300, account=OTHER_GUEST, payment="p2")
    office.lease()
    office.take(office.hub.batch())
    office.hub.held(200)
    office.hub.captured(200)
    entry, voucher = office.hub.passed(other, 150)
    office.hub.returned(50)
    office.take(office.hub.batch())
    other.taken(office.hub, entry.header.seq, 150, voucher)
    office.take(other.batch(), other)
    with office.store.writing() as tx:
        acts.audit(tx, TENANT, acts.AuditLine(WALL_MS, "Chen", "counted", HUB, ""))
    assert office.prove().ok
    office.store.close()
    return office.file


@pytest.fixture
def real_books(books, filled, tmp_path):
    """Those books at this release's version, on either engine."""
    if books.engine.dialect.name == "sqlite":
        shutil.copy(filled, tmp_path / "office.sqlite")
    else:
        source = Books(sqlite_url(filled))
        books.up()
        books.put(source.rows())
        source.close()
    return books


def _down(books, steps, at):
    """Go down the steps; return those whose rows were not what the version above had, as far as both know them."""
    wrong = []
    for newer, version in zip(reversed(steps), reversed(steps[:-1]), strict=False):
        go_down(books.url, version)
        at[version] = books.rows()
        if common(at[version], at[newer]) != common(at[newer], at[version]):
            wrong.append(f"down to {version}")
    return wrong


def _up(books, steps, at):
    """Go up the steps; return what was not as it had been at the same version."""
    wrong = []
    for version in steps[1:]:
        books.up(version)
        found = books.rows()
        wrong += [
            f"up to {version}: {table}.{name}"
            for table, columns in at[version].items()
            for name, rows in columns.items()
            if not {(table, "*"), (table, name)} & EMPTIED and found[table][name] != rows
        ]
    return wrong


def test_every_way_back_leads_to_the_shape_and_the_rows_before(books):
    shapes = {}
    for version in VERSIONS:
        books.up(version)
        shapes[version] = books.shape()
        if version == LAST_WITHOUT_LOTS:
            books.put(OLD)
            before = books.rows()
    at = {VERSIONS[-1]: books.rows()}
    for newer, version in zip(reversed(VERSIONS), reversed(VERSIONS[:-1]), strict=False):
        assert _down(books, (version, newer), at) == []
        assert books.shape() == shapes[version], version
    assert at[LAST_WITHOUT_LOTS] == before
    assert {table for table, columns in before.items() if any(columns.values())} == OLD.keys()
    assert _up(books, VERSIONS, at) == []
    assert books.shape() == shapes[VERSIONS[-1]]


def test_rows_of_real_books_are_the_same_on_the_way_down_and_up_again(real_books):
    steps, at = VERSIONS[VERSIONS.index(LAST_WITHOUT_LOTS) + 1 :], {VERSIONS[-1]: real_books.rows()}
    assert _down(real_books, steps, at) == []
    assert _up(real_books, steps, at) == []
    store = open_store(real_books.url)
    with closing(store), store.reading() as tx:
        assert prove_books(tx, TENANT).ok


@pytest.fixture(scope="module")
def of_version(tmp_path_factory):
    """Databases of every version: made once, on the way up."""
    folder = tmp_path_factory.mktemp("versions")
    walking = Books(sqlite_url(folder / "office.sqlite"))
    for version in VERSIONS:
        walking.up(version)
        walking.close()
        shutil.copy(folder / "office.sqlite", folder / version)
    return folder


REFUSED = (
    ("0003", "0002", {"orders": None}, "payment orders"),
    ("0003", "0002", {"slips": None}, "paper slips"),
    ("0004", "0003", {"lots": {"lot": b"named"}}, "lots have a name"),
    ("0004", "0003", {"leases": {"lot": b"named"}}, "leases are by lot"),
    ("0004", "0003", {"passing": None}, "vouchers"),
    ("0004", "0003", {"hubs": {"closed_ms": 1}}, "hubs are closed"),
    ("0007", "0006", {"credentials": {"step_up": 1}}, "a second factor"),
    ("0009", "0008", {"signers": None}, "keys of signers"),
    ("0010", "0009", {"set_back": None}, "restored books"),
    ("0011", "0010", {"lots": {"forgotten": 1}}, "a backup forgot"),
    ("0014", "0013", {"card_stock": None}, "known by their keys here only"),
    ("0015", "0014", {"consents": None}, "consents stand"),
    ("0017", "0016", {"receive_keys": None}, "receive keys"),
    ("0017", "0016", {"entries": {"type": 1, "record": b"\x99"}}, "began after a salvage"),
    ("0018", "0017", {"closings": {"z_no": 1, "prev_hash": bytes(32)}}, "closings"),
    ("0019", "0018", {"entries": {"type": 37}}, "tell of meters"),
    ("0020", "0019", {"deliveries": {"state": "waiting"}}, "events wait"),
    ("0021", "0020", {"cell_outbox": None}, "sent to other cells"),
    ("0021", "0020", {"cell_inbox": None}, "taken from other cells"),
    ("0015", "0014", {"consents_ended": None}, "withdrawals"),
    ("0017", "0016", {"receive_keys": None}, "receive keys were rotated"),
)


@pytest.mark.parametrize(("version", "before", "held", "said"), REFUSED, ids=[case[3] for case in REFUSED])
def test_what_the_version_before_cannot_hold_refuses_the_way_back(of_version, tmp_path, version, before, held, said):
    shutil.copy(of_version / version, tmp_path / "office.sqlite")
    books = Books(sqlite_url(tmp_path / "office.sqlite"))
    ((table, values),) = held.items()
    with closing(sqlite3.connect(tmp_path / "office.sqlite")) as tx:
        tx.execute("PRAGMA ignore_check_constraints = ON")
        row = {name: _any(kind) for _, name, kind, *_ in tx.execute(f"PRAGMA table_info({table})")} | (values or {})
        places = ", ".join("?" * len(row))
        tx.execute(f"INSERT INTO {table} VALUES ({places})", [*row.values()])  # noqa: S608 - of the cases above
        tx.commit()
    before_it = books.shape(), books.rows()
    with pytest.raises(StoreDowngradeError, match=said):
        go_down(books.url, before)
    assert (books.shape(), books.rows(), books.version()) == (*before_it, version)
    books.close()


def _any(kind):
    """Return something that a column of this kind takes."""
    return {"BLOB": b"", "TEXT": ""}.get(kind, 0)


def _cut(books, move, at):
    """Begin to move and raise at the statement with this number; return whether there was one."""
    seen = itertools.count(1)

    def statement(*_args):
        if next(seen) == at:
            raise CutError

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    try:
        move()
    except CutError:
        return True
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
    return False


class CutError(Exception):
    """The power goes here."""


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_cut_in_the_middle_leaves_the_version_before(books, direction):
    goal, start = ("head", RELEASED) if direction == "up" else (RELEASED, "head")
    books.up(start)
    books.put({"tenants": OLD["tenants"]})
    before = books.shape(), books.rows(), books.version()
    step = max(1, MOST_STATEMENTS // count(MOST_STATEMENTS))
    for at in range(3 + step // 2, MOST_STATEMENTS, step):
        if not _cut(books, lambda: books.up() if direction == "up" else go_down(books.url, goal), at):
            break
        assert (books.shape(), books.rows(), books.version()) == before, f"cut at statement {at}"
    else:
        pytest.fail(f"more than {MOST_STATEMENTS} statements: raise MOST_STATEMENTS")


def test_mutant_a_driver_that_commits_by_itself_leaves_half_a_version(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "make_engine", sa.create_engine)  # SQLite's driver opens no transaction for DDL
    books = Books(sqlite_url(tmp_path / "office.sqlite"))
    books.engine = sa.create_engine(books.url)
    books.up(RELEASED)
    before = books.shape(), books.version()
    assert _cut(books, books.up, 12)
    assert (books.shape(), books.version()) != before
    books.close()


@pytest.mark.parametrize("to", ["0015", "0099", ""])
def test_only_an_older_version_of_ours_is_gone_down_to(tmp_path, to):
    books = Books(sqlite_url(tmp_path / "office.sqlite"))
    books.up("0015")
    with pytest.raises(StoreDowngradeError, match="no older version"):
        go_down(books.url, to)
    books.close()


def test_books_that_somebody_writes_to_are_told_so(tmp_path, monkeypatch):
    monkeypatch.setitem(engine._PRAGMAS, "busy_timeout", ("1", 1))
    books = Books(sqlite_url(tmp_path / "office.sqlite"))
    books.up()
    with books.engine.begin(), pytest.raises(StoreUnavailableError, match="stop every office"):
        go_down(books.url, RELEASED)
    books.close()
