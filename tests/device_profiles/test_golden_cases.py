"""How golden frames are written."""

import pytest

from device_profiles.golden_cases import (
    Golden,
    GoldenAnswer,
    GoldenEvent,
    Step,
    frame_bytes,
    frame_pattern,
    line_step,
    problem_of,
    said,
)

EVENTS = (GoldenEvent("CoinInserted"),)


def test_frames_in_hex_and_text():
    assert frame_bytes("02 00 01 F2 0B") == frame_bytes("020001f20b") == bytes.fromhex("020001f20b")
    assert frame_bytes("text:D,1\n") == b"D,1\n"
    assert frame_bytes("") == b""
    assert said("gap 20ms") == Step(wait_ms=20)
    assert frame_pattern("02 ?? 0A").search(b"\0\2\n\n").start() == 1
    assert frame_pattern("text:a.c").search(b"abc") is None


def test_steps_of_lines():
    assert line_step("notch low 30ms") == Step(line="notch", level="low", wait_ms=30)
    assert line_step("notch high") == Step(line="notch", level="high")
    assert line_step("gap 5ms") == Step(wait_ms=5)
    assert line_step("when motor high") == Step(line="motor", level="high", when=True)


@pytest.mark.parametrize("text", ["0", "0G", "02 0", "hello"])
def test_what_is_no_frame_is_refused(text):
    with pytest.raises(ValueError, match="is no frame"):
        frame_bytes(text)


@pytest.mark.parametrize(
    "text", ["", "notch", "notch up", "when motor high 20ms", "gap 0ms", "gap", "gap 1s", "a low b"]
)
def test_what_is_no_step_is_refused(text):
    with pytest.raises(ValueError, match=r"is no (step|time)"):
        line_step(text)


def test_cases_that_prove_nothing_are_refused():
    assert problem_of(Golden(name="a case", events=EVENTS)) == ""
    for case, text in (
        (Golden(name="a case"), "nothing is expected"),
        (Golden(name="a case", events=EVENTS, answer=GoldenAnswer("done")), "needs a command"),
        (Golden(name="a case", replies={"02": ("0",)}, events=EVENTS), "no frame"),
        (Golden(name="a case", says=("gap",), events=EVENTS), "no frame"),
        (Golden(name="a case", levels=("coin low 20ms",), events=EVENTS), "without times"),
        (Golden(name="a case", edges=("coin",), events=EVENTS), "no step"),
    ):
        assert text in problem_of(case)
