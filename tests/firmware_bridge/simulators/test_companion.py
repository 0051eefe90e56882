"""The simulated board is the board's own program, as any host would drive it."""

import pytest

from firmware_bridge.simulators.companion import CompanionSimulator
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.companion import (
    Act,
    Decoder,
    Frame,
    Kind,
    encode,
    pack_act,
    pack_hello,
    pack_poll,
    parse_i_am,
    parse_idle,
    parse_result,
    parse_told,
)

HELLO = Frame(0, Kind.HELLO, 0, pack_hello())


def ask(board, frame, now_ms=0):
    (answer,) = [item for item in Decoder().feed(board.feed(encode(frame), now_ms=now_ms)) if isinstance(item, Frame)]
    return answer.payload


def act(board, number, boot, now_ms=0):
    payload = pack_act(Act(f"id-{number}", boot, number, 1_000, 1))
    return parse_result(ask(board, Frame(1, Kind.ACT, 2, payload), now_ms))


def test_a_credit_is_one_pulse_and_outlives_a_loss_of_power():
    board = CompanionSimulator()
    boot = parse_i_am(ask(board, HELLO)).boot
    assert act(board, 1, boot).outcome == "running"
    for now_ms in range(0, 200, 5):
        board.tick(now_ms=now_ms)
    assert act(board, 1, boot, 200).outcome == "done"
    board.command(["power"], now_ms=300)
    fresh = parse_i_am(ask(board, HELLO, 300)).boot
    assert fresh != boot
    assert (act(board, 1, boot, 301).outcome, act(board, 2, boot, 302).reason) == ("done", "bridge_restarted")
    assert board.status()["pulses"] == 1


def test_coins_are_told_until_they_are_booked():
    board = CompanionSimulator()
    ask(board, HELLO)
    board.command(["coin"], now_ms=0)
    board.tick(now_ms=50)
    for _ in range(2):
        told = parse_told(ask(board, Frame(1, Kind.POLL, 3, pack_poll(0, 0)), 60))
        assert (told.number, told.body) == (1, b"\x01")
    assert parse_idle(ask(board, Frame(1, Kind.POLL, 3, pack_poll(told.epoch, 1)), 70)).newest == 1


def test_five_coins_that_nobody_books_shut_the_gate_until_they_are_booked():
    board = CompanionSimulator()
    ask(board, HELLO)
    for number in range(10):
        board.command(["coin"], now_ms=100 * number)
        board.tick(now_ms=100 * number + 50)
    assert (board.status()["coins"], board.status()["open"]) == (5, False)
    told = parse_told(ask(board, Frame(1, Kind.POLL, 3, pack_poll(0, 0)), 1_000))
    assert (told.number, told.newest) == (1, 5)
    ask(board, Frame(1, Kind.POLL, 3, pack_poll(told.epoch, 1)), 1_010)
    assert board.status()["open"] is True


def test_an_output_whose_log_nobody_books_gives_no_more():
    board = CompanionSimulator()
    boot = parse_i_am(ask(board, HELLO)).boot
    said = []
    for number in range(1, 66):
        act(board, number, boot, 200 * number)
        for after_ms in range(0, 200, 50):
            board.tick(now_ms=200 * number + after_ms)
        said.append(act(board, number, boot, 200 * number + 199))
    assert [answer.outcome for answer in said] == ["done"] * 64 + ["failed"]
    assert (said[-1].reason, board.status()["pulses"]) == ("value_log_full", 64)


def test_unknown_lines_are_named():
    with pytest.raises(ScriptError, match="is not a line of a companion board"):
        CompanionSimulator().command(["dance"], now_ms=0)
