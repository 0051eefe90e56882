"""A board on a UART, told the same story on CPython and on MicroPython: it says the same, whatever the line brings."""

import random
import subprocess

import pytest

from firmware_bridge.wire.companion import (
    VERSIONS,
    Act,
    Decoder,
    Frame,
    IAm,
    Kind,
    Word,
    encode,
    pack_act,
    pack_hello,
    pack_poll,
    pack_words,
    parse_i_am,
    parse_result,
    parse_told,
    parse_words,
)
from tests.support.boards import environment, interpreter
from tests.support.flood import damaged
from tests.support.sizes import count
from tests.support.tree import ROOT

TALK = ROOT / "tests" / "support" / "companion_talk.py"
BOOT = bytes([0x0F] * 16)
HELLO = Frame(0, Kind.HELLO, 0, pack_hello())


def ask(kind, channel, payload=b""):
    return encode(Frame(1, kind, channel, payload))


def act(number, *, credits_=1, ttl_ms=1_000, boot=BOOT):
    return ask(Kind.ACT, 2, pack_act(Act(f"id-{number}", boot, number, ttl_ms, credits_)))


def talk(name, folder, story):
    """Tell a board a story; return what it said."""
    folder.mkdir()
    program = interpreter(name)
    ended = subprocess.run(
        [program, str(TALK), str(folder)],
        input="\n".join(story) + "\n", env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-500:] + ended.stderr
    return ended.stdout.splitlines()


def heard(line):
    return [item for item in Decoder().feed(bytes.fromhex(line)) if isinstance(item, Frame)]


@pytest.mark.parametrize("name", ["cpython", pytest.param("micropython", marks=pytest.mark.slow)])
def test_a_board_says_who_it_is_acts_once_and_tells_its_coins(name, tmp_path):
    story = [
        f"feed {act(1).hex()} 0",
        f"feed {encode(HELLO).hex()} 1",
        f"feed {act(1).hex()} 2",
        "tick 10", "tick 60", f"feed {act(1).hex()} 61", "tick 110", f"feed {act(1).hex()} 120",
        "tick 500", f"feed {act(1, boot=bytes(16)).hex()} 501", f"feed {act(2, boot=bytes(16)).hex()} 502",
        "coin 600", f"feed {ask(Kind.POLL, 3, pack_poll(5, 0)).hex()} 700",
        f"feed {ask(Kind.POLL, 3, pack_poll(5, 1)).hex()} 701",
        "read 41420d0a 800", f"feed {ask(Kind.POLL, 4, pack_poll(0, 0)).hex()} 850",
        f"feed {ask(Kind.SAY, 5, pack_words([Word(mode=True, byte=0x12)])).hex()} 900",
        f"feed {ask(0x77, 2).hex()} 901", f"feed {ask(Kind.POLL, 9).hex()} 902", f"feed {ask(Kind.POLL, 3).hex()} 903",
    ]  # fmt: skip
    lines = talk(name, tmp_path / name, story)
    (early,), (who,), (begun,) = heard(lines[0]), heard(lines[1]), heard(lines[2])
    assert (early.kind, early.payload) == (Kind.REFUSED, b"\x01")
    assert parse_i_am(who.payload) == IAm(1, VERSIONS, BOOT, "c0ffee0000000002", (1, 2, 3, 4), "companion 1.0")
    outcomes = [parse_result(heard(lines[at])[0].payload) for at in (2, 5, 7, 9, 10)]
    assert begun.kind == Kind.RESULT
    said = [(result.outcome, result.amount, result.reason) for result in outcomes]
    assert said[:4] == [("running", 0, ""), ("running", 0, ""), ("done", 1, ""), ("done", 1, "")]
    assert said[4] == ("unknown", 0, "not_remembered")  # a boot that nobody remembers
    coin = parse_told(heard(lines[12])[0].payload)
    assert (coin.epoch, coin.number, coin.body) == (5, 1, b"\x01")
    assert heard(lines[13])[0].kind == Kind.IDLE
    assert parse_told(heard(lines[15])[0].payload).body == b"AB"
    assert len(parse_words(heard(lines[16])[0].payload)) == 4
    assert [heard(line)[0].payload for line in lines[17:]] == [b"\x02", b"\x03", b"\x04"]


@pytest.mark.slow
def test_both_interpreters_say_the_same_on_a_line_full_of_damage(tmp_path):
    interpreter("micropython")
    dice = random.Random(3)
    questions = [encode(HELLO), ask(Kind.POLL, 3, pack_poll(5, 1)), ask(Kind.POLL, 4, pack_poll(9, 1)), act(1), act(3)]
    questions += [act(2, ttl_ms=0), ask(Kind.GATE, 3, b"\x00"), ask(Kind.SAY, 5, b"\x01\x12\x00\x12"), ask(0x33, 2)]
    story = [f"feed {encode(HELLO).hex()} 0"]
    for now_ms in range(1, count(20_000)):
        place = dice.randrange(10)
        if place < 8:
            story.append(f"feed {damaged(questions, dice).hex() or '00'} {now_ms}")
        else:
            story.append(dice.choice([f"coin {now_ms}", f"read 30310d {now_ms}", f"tick {now_ms}"]))
    assert talk("cpython", tmp_path / "a", story) == talk("micropython", tmp_path / "b", story)


@pytest.mark.slow
def test_what_is_copied_to_a_board_is_understood_by_its_interpreter():
    program = interpreter("micropython")
    for path in sorted((ROOT / "firmware_bridge" / "companion").glob("*.py")):
        compiled = [program, "-X", "compile-only", str(path)]
        ended = subprocess.run(compiled, capture_output=True, text=True, check=False, timeout=20)
        assert ended.returncode == 0, path.name + ended.stdout
