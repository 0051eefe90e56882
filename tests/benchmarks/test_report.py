"""Rows of benchmarks: the median of the pairs' ratios against its goal, and no verdict on a restless machine."""

import json

import structlog

from benchmarks import wire
from benchmarks.hall import Hall
from benchmarks.report import PAIRS, finished, interleaved, judge
from venuehub.cli import main


def test_the_ratio_is_the_median_of_the_pairs():
    row = judge("inline", "1/s", [(10, 5), (10, 6), (10, 7)], at_least=0.6)
    assert (row.limit, row.ours, row.ratio, row.spread) == (10, 6, 0.6, 1.4)
    assert (row.goal, row.holds) == (">=0.6", True)


def test_a_goal_that_is_missed_is_said():
    assert judge("bytes", "bytes", [(10, 11), (10, 11)], at_most=1).holds is False


def test_a_restless_machine_gives_no_verdict():
    row = judge("inline", "1/s", [(10, 1), (10, 7)], at_least=0.1)
    assert (row.holds, row.spread) == (None, 7)


def test_limit_and_ours_are_measured_in_turn():
    order = []
    pairs = interleaved(lambda: order.append("limit") or 1.0, lambda: order.append("ours") or 2.0)
    assert pairs == [(1.0, 2.0)] * PAIRS
    assert order == ["limit", "ours"] * PAIRS


def test_a_report_names_its_machine():
    assert "SQLite" in finished([]).machine


def test_what_is_logged_while_it_measures_is_no_part_of_the_answer(monkeypatch, capsys):
    def run(**_):
        structlog.get_logger().info("books.rows_counted")
        return finished([])

    monkeypatch.setattr(wire, "run", run)
    assert main(["bench", "wire", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"] == []
    assert "books.rows_counted" in said.err


def test_every_tap_of_the_hall_is_approved(tmp_path):
    hall = Hall(tmp_path, lanes=4)
    for _turn in range(6):
        hall.play([hall.tap() for _lane in range(4)])
        hall.settle()
    assert hall.till.outstanding == 0
    hall.store.close()
