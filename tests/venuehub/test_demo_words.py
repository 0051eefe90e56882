"""What the demo says of the line that is back is what happened: so many of so many entries are in the books."""

import sqlite3
from contextlib import closing

from venuehub.demo.actions import back_online, journal_ends, still_waiting


def ledger_at(path, last, sure):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER)")
        db.executemany("INSERT INTO entries VALUES (?)", [(seq,) for seq in range(1, last + 1)])
        db.execute("INSERT INTO meta VALUES ('acked_seq', ?)", (sure,))
        db.commit()
    return path


def test_only_entries_that_had_waited_are_waited_for(tmp_path):
    here, there = ledger_at(tmp_path / "a", 9, 7), ledger_at(tmp_path / "b", 4, 4)
    assert journal_ends(here) == (9, 7)
    assert still_waiting({here: (8, 2), there: (4, 1)}) == 1


def test_every_one_is_said_of_all_alone():
    assert "501 journal entries had waited" in (all_in := back_online(501, 0, 3).en)
    assert "every one of them" in all_in
    some = back_online(501, 12, 3)
    assert "489 of the 501 journal entries" in some.en
    assert "so far" in some.en
    assert "every one" not in some.en
    assert "501 条记录中, 目前已入账 489 条" in some.zh
