"""The simulated note validator as a host's bytes see it, and a sale that other people's software made with it."""

import json
from pathlib import Path

import pytest

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.ssp_notes import ESCROW_MS
from firmware_bridge.simulators.ssp_validator import Making, SspValidatorSimulator
from firmware_bridge.wire.ssp import Code, Decoder, Packet, Reply, encode

SALE = json.loads((Path(__file__).parents[2] / "vectors" / "ssp" / "essp6_sale.json").read_text("utf-8"))


class Bench:
    """A validator and a clock that only moves when told; the host keeps the sequence bit."""

    def __init__(self, making: Making = Making()) -> None:  # noqa: B008 - a frozen struct
        self.device = SspValidatorSimulator(making=making)
        self.now_ms = 1_000
        self.sequence = True

    def ask(self, *data: int, again: bool = False) -> str:
        """Return the answer's data in hex; `again` repeats the last sequence bit."""
        self.sequence = self.sequence if again else not self.sequence
        raw = self.device.feed(encode(Packet(0, self.sequence, bytes(data))), now_ms=self.now_ms)
        found = Decoder().feed(raw)
        return found[0].data.hex() if found else ""

    def say(self, line: str) -> None:
        assert self.device.command(line.split(), now_ms=self.now_ms) == 0

    def open(self) -> None:
        assert self.ask(Code.SET_INHIBITS, 0xFF, 0) == self.ask(Code.ENABLE) == "f0"
        assert self.ask(Code.POLL) == "f0f1"

    def to_escrow(self, channel: int) -> None:
        self.say(f"note {channel}")
        assert self.ask(Code.POLL) == "f0ef00"
        self.now_ms += 400
        assert self.ask(Code.POLL) == f"f0ef{channel:02x}"


def test_the_manual_s_sync_and_its_answer():
    device = SspValidatorSimulator()
    assert device.feed(bytes.fromhex("7F8001116582"), now_ms=0).hex().upper() == "7F8001F02380"


def test_a_sale_that_the_maker_s_library_made_with_it():
    device = SspValidatorSimulator(making=Making(must_seal=True, acknowledges=False))
    for row in SALE["rows"]:
        now_ms = 10_000 + row["at_ms"]
        if "line" in row:
            device.command(row["line"].split(), now_ms=now_ms)
        else:
            answer = device.feed(bytes.fromhex(row["host"]), now_ms=now_ms)
            assert answer.hex() == row["validator"], row
    assert device.status()["notes_by_channel"] == {"3": 1}


def test_a_note_goes_through_escrow_into_the_box_and_is_credited_once():
    bench = Bench()
    bench.open()
    bench.to_escrow(3)
    assert bench.ask(Code.POLL) == "f0ccee03"
    bench.now_ms += 900
    assert bench.ask(Code.POLL) == "f0eb"
    assert bench.ask(Code.POLL) == "f0"
    assert bench.device.status()["notes_by_channel"] == {"3": 1}


def test_the_same_bit_gets_the_same_answer_and_nothing_happens():
    bench = Bench()
    bench.open()
    bench.to_escrow(3)
    assert bench.ask(Code.POLL, again=True) == "f0ef03", "not taken yet"
    assert bench.ask(Code.POLL) == "f0ccee03"
    assert bench.ask(Code.POLL, again=True) == "f0ccee03"
    assert bench.ask(Code.DISABLE, again=True) == "f0ccee03"


def test_held_it_stays_in_escrow_until_it_is_given_back():
    bench = Bench()
    bench.open()
    bench.to_escrow(2)
    assert bench.ask(Code.HOLD) == bench.ask(Code.HOLD) == "f0"
    assert bench.ask(Code.REJECT) == "f0"
    assert bench.ask(Code.POLL) == "f0edec"
    assert bench.ask(Code.REJECT) == bench.ask(Code.HOLD) == "f5"
    bench.to_escrow(2)
    bench.now_ms += ESCROW_MS
    assert bench.ask(Code.POLL) == "f0edec"
    assert bench.device.status()["notes_given_back"] == 2


def test_with_acknowledgement_a_credit_comes_until_it_is_acknowledged():
    bench = Bench()
    bench.open()
    bench.to_escrow(3)
    assert bench.ask(Code.POLL_WITH_ACK) == "f0ccee03"
    assert bench.ask(Code.POLL_WITH_ACK) == "f0ee03"
    assert bench.ask(Code.EVENT_ACK) == "f0"
    assert bench.ask(Code.POLL_WITH_ACK) == "f0"
    assert bench.ask(Code.EVENT_ACK) == "f5"
    assert Bench(Making(acknowledges=False)).ask(Code.POLL_WITH_ACK) == "f2"


@pytest.mark.parametrize(("steps", "heard"), [(0, "f0f1e103e8"), (1, "f0f1e103e8"), (2, "f0f1e203e8")])
def test_power_lost_on_the_way(steps, heard):
    bench = Bench()
    bench.open()
    bench.say("note 3")
    for _ in range(steps):
        bench.now_ms += 400
        bench.ask(Code.POLL)
    bench.say("power 10ms")
    bench.now_ms += 10
    assert bench.ask(Code.POLL) == heard
    assert bench.device.status()["resets"] == 1


def test_what_it_does_not_know_or_cannot_do_now():
    bench = Bench()
    assert bench.ask(0x33) == f"{Reply.UNKNOWN:02x}"
    assert bench.ask(Code.SET_INHIBITS, 1) == f"{Reply.WRONG_LENGTH:02x}"
    assert bench.ask(Code.KEY_EXCHANGE, *bytes(8)) == f"{Reply.CANNOT_NOW:02x}"
    assert bench.ask(Code.SET_MODULUS, *bytes(8)) == f"{Reply.OUT_OF_RANGE:02x}"
    assert bench.ask(0x7E, *bytes(16)) == f"{Reply.KEY_NOT_SET:02x}"
    sealed = Bench(Making(must_seal=True))
    assert sealed.ask(Code.POLL) == f"{Reply.KEY_NOT_SET:02x}"
    with pytest.raises(ScriptError, match="is not a line of a note validator; there are `note CHANNEL`"):
        bench.say("coin 3")
