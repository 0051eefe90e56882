"""A ledger of the first release becomes one of this release: nothing of its money, marks and caps is lost."""

from edge_agent.ledger import authorizations, leases
from edge_agent.ledger.migrations import MIGRATIONS, VERSION_1, migrate
from edge_agent.ledger.store import SqliteStore
from edge_agent.tap.replay import replay
from payment_core import usage
from tests.support.hall import Hall, account_of, commands, credential_of, the_view

ANSWER = bytes.fromhex("0198a0000000700080000000000000aa")


def old_ledger(path):
    store = SqliteStore(path)
    for statement in VERSION_1:
        store.execute(statement)
    store.execute("PRAGMA user_version=1")
    store.execute(
        "INSERT INTO leases(account_id, unit, epoch, granted, committed, day, day_amount) "
        "VALUES (?, 'CNY', 1, 900, 300, 20251122, 300)",
        (account_of("card-7"),),
    )
    store.execute("INSERT INTO wish_marks VALUES ('reader-1', 1, 41, ?)", (ANSWER,))
    store.execute("INSERT INTO value_marks VALUES ('acceptor-1', 1, 7, 250)")
    store.execute("INSERT INTO documents VALUES ('texts', 3, x'7b7d')")
    return store


def test_money_marks_and_the_days_use_are_carried_over(tmp_path):
    store = old_ledger(tmp_path / "ledger.db")
    migrate(store, "a test")
    (row,) = leases.of_account(store, account_of("card-7"))
    assert (row.lease.granted, row.lease.committed, row.lease.allowance, row.lease.lot) == (900, 300, 600, b"")
    assert usage.spent_today([usage.read_usage(row.used)], credential_of("card-7"), 20251122) == 300
    assert authorizations.wish_mark(store, "reader-1", 1) == authorizations.WishMark(41, ANSWER)
    assert store.rows("SELECT seq, told FROM device_marks WHERE device = 'acceptor-1' AND kind = 2") == [(7, 250)]
    assert store.rows("SELECT name, version FROM document_archive") == [("texts", 3)]
    assert store.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert replay(store).decided == 0
    store.close()


def test_a_cap_of_the_day_goes_on_where_it_stood(tmp_path):
    old_ledger(tmp_path / "ledger.db").close()
    hall = Hall(tmp_path / "ledger.db")
    hall.step(hall.member("card-7", day_limit=600))
    came = []
    for _tap in range(2):
        hall.pass_ms(1_000)
        fact = hall.tap("card-7", seq=50 + _tap)
        effects = hall.step(fact)
        came.append("sold" if commands(effects) else the_view(effects).reason)
    assert came == ["sold", "over_day_limit"]
    hall.store.close()
