"""The simulated scanner by the manual's own bytes, as any host would drive it."""

import pytest

from firmware_bridge.simulators.gm65 import SINGLE_READ_MS, Gm65Simulator
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.gm65 import SETTINGS, TAIL, encode, read, write

DONE = bytes.fromhex("02 00 00 01 00 33 31")
TRIGGER = bytes.fromhex("7E 00 08 01 00 02 01 AB CD")
CONTINUOUS = bytes.fromhex("7E 00 08 01 00 00 D6 AB CD")
COMMAND_MODE = bytes.fromhex("7E 00 08 01 00 00 D5 AB CD")
SAVE = bytes.fromhex("7E 00 09 01 00 00 00 DE C8")


@pytest.fixture
def scanner():
    return Gm65Simulator()


def say(scanner, line, now_ms=0):
    scanner.command(line.split(), now_ms=now_ms)
    return scanner.tick(now_ms=now_ms)


def test_as_delivered_it_waits_for_its_button(scanner):
    assert say(scanner, "show 4710000000000") == b""
    assert scanner.feed(bytes.fromhex("7E 00 07 01 00 2A 02 D8 0F"), now_ms=0)[:6] == bytes.fromhex("02 00 00 02 39 01")
    assert scanner.status()["shown"] == 1


def test_a_trigger_lets_it_look_for_one_code_and_a_while(scanner):
    assert scanner.feed(COMMAND_MODE + TRIGGER, now_ms=0) == DONE * 2
    assert say(scanner, "show VH1:0 A", 1_000) == b"VH1:0 A\r"
    assert say(scanner, "show VH1:1", 1_001) == b""
    scanner.feed(TRIGGER, now_ms=2_000)
    assert say(scanner, "show late", 2_000 + SINGLE_READ_MS) == b""


def test_in_continuous_mode_a_code_that_stays_is_read_again_and_again(scanner):
    scanner.feed(CONTINUOUS, now_ms=0)
    scanner.command(["hold", "2500ms", "X"], now_ms=0)
    assert b"".join(scanner.tick(now_ms=now) for now in range(0, 5_000, 5)) == b"X\r" * 3


def test_what_was_not_saved_is_lost_with_the_power(scanner):
    scanner.feed(CONTINUOUS, now_ms=0)
    say(scanner, "reset")
    assert scanner.status()["settings"] == 0xD4
    scanner.feed(CONTINUOUS + SAVE, now_ms=0)
    say(scanner, "reset")
    assert (scanner.status()["settings"], scanner.status()["saves"]) == (0xD6, 1)


@pytest.mark.parametrize(("tail", "end"), [(0x01, b"\r"), (0x21, b"\r\n"), (0x41, b"\t"), (0x00, b"")])
def test_the_end_of_a_text_is_a_setting(scanner, tail, end):
    scanner.feed(CONTINUOUS + encode(write(TAIL, tail)), now_ms=0)
    assert say(scanner, "show X") == b"X" + end


def test_its_faults(scanner):
    scanner.feed(CONTINUOUS, now_ms=0)
    say(scanner, "wrong")
    assert scanner.feed(encode(read(SETTINGS)), now_ms=0)[-2:] != scanner.feed(encode(read(SETTINGS)), now_ms=0)[-2:]
    say(scanner, "between ABCD")
    assert scanner.feed(CONTINUOUS, now_ms=0) == b"AB" + DONE + b"CD\r"
    say(scanner, "silence 1s")
    assert scanner.feed(CONTINUOUS, now_ms=999) == b""
    assert say(scanner, "noise 00ff") == b"\x00\xff"
    assert scanner.feed(CONTINUOUS[:4], now_ms=2_000) + scanner.feed(CONTINUOUS, now_ms=2_200) == DONE


@pytest.mark.parametrize("line", ["show", "hold 1s", "hold soon X", "noise xy", "sing", "silence", "reset now"])
def test_a_line_it_does_not_understand_is_named(scanner, line):
    with pytest.raises(ScriptError):
        scanner.command(line.split(), now_ms=0)
