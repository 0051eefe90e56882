"""`bench post` in small: an evening of plays and coins, and every batch under forty bytes an entry."""

from collections import Counter

import pytest

from benchmarks.post import evening, run
from payment_core.journal import CoinBooked, Held, decode_entry


@pytest.mark.long
def test_an_evening_has_plays_and_coins_and_its_batches_are_small(tmp_path):
    kinds = Counter(type(decode_entry(record)) for record in evening(tmp_path, 900))
    assert kinds[Held] > 200
    assert kinds[CoinBooked] >= 64


@pytest.mark.long
def test_bytes_and_time_are_measured():
    report = run(entries=400)
    assert [(row.name, row.goal) for row in report.rows] == [
        ("bytes_at_100", "<=1"),
        ("bytes_at_300", "<=1"),
        ("seal_1000", "<=3"),
    ]
    assert [row.holds for row in report.rows[:2]] == [True, True]
