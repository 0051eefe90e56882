"""The bench of the office's intake measures what it says, on both databases, and a small one is quick."""

import pytest

from benchmarks import grown, ingest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("db", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)])
def test_every_row_is_there_and_replays_write_nothing(db, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH", 60)
    monkeypatch.setattr(grown, "TURNS", 1)
    rows = {row.name: row for row in ingest.run(db=db, grown=True, entries=700, pairs=1).rows}
    assert list(rows) == ["taken_in", "replayed", "rows_replayed", "when_grown"]
    assert (rows["rows_replayed"].ours, rows["rows_replayed"].holds) == (1, True)
    assert rows["replayed"].ratio > 1
    assert 0 < rows["taken_in"].ratio < 1
