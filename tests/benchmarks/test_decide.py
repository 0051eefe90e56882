"""`bench decide` in small: every tap is approved, both rows are there."""

from benchmarks.decide import Size, run


def test_both_ratios_are_measured():
    small, large = Size(1, 1, 1, 1), Size(40, 4, 30, 3)
    report = run(taps=8, sizes=(small, large, small, large))
    assert [(row.name, row.goal) for row in report.rows] == [("all_of_each", "<=1.5"), ("members", "<=1.2")]
