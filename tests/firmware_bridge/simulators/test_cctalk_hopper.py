"""The simulated hopper as a host's bytes see it; requests and answers are the manuals'."""

import pytest

from firmware_bridge.simulators.cctalk_bus import CctalkBusSimulator
from firmware_bridge.simulators.cctalk_hopper import POWER_UP_MS, CctalkHopperSimulator, Works
from firmware_bridge.simulators.interface import ScriptError

TEST, ENABLE, STATUS = "030001A359", "030101A4A5B2", "030001A656"
BY_SERIAL = "030401A7DFD70A0190"
PLAIN = "030901A70000000000000000014B"
NAK = "01000305F7"


class Bench:
    """A hopper and a clock that only moves when told."""

    def __init__(self, **options: object) -> None:
        self.device = CctalkHopperSimulator(**options)
        self.now_ms = 1_000

    def ask(self, question: str) -> str:
        return self.device.feed(bytes.fromhex(question), now_ms=self.now_ms).hex().upper()

    def say(self, line: str) -> None:
        assert self.device.command(line.split(), now_ms=self.now_ms) == 0


def test_a_payout_by_serial_number_as_the_manual_has_it():
    bench = Bench()
    assert bench.ask(TEST) == "0102030080007A"  # disabled until it is enabled
    assert bench.ask(BY_SERIAL) == NAK
    assert bench.ask(ENABLE) == "01000300FC"
    assert bench.ask(BY_SERIAL) == "0101030001FA"
    assert bench.ask(STATUS) == "0104030001010000F6"
    assert bench.ask(BY_SERIAL) == NAK, "busy"
    bench.now_ms += 150
    assert bench.ask(STATUS) == "0104030001000100F6"
    assert bench.device.status() == {"coins_dispensed": 1, "coins_left": 199, "payouts": 1, "resets": 0}


def test_a_payout_without_encryption_is_a_plain_ack():
    bench = Bench(variant="plain")
    bench.ask(ENABLE)
    assert bench.ask(BY_SERIAL) == NAK
    assert bench.ask(PLAIN) == "01000300FC"


def test_power_lost_in_mid_payout_keeps_what_was_paid_and_forgets_the_rest():
    bench = Bench(variant="plain", works=Works(coin_ms=10))
    bench.ask(ENABLE)
    bench.ask("030901A700000000000000000A42")
    bench.now_ms += 79
    bench.say("power 100ms")
    assert bench.ask(STATUS) == ""
    bench.now_ms += 100 + POWER_UP_MS
    assert bench.ask(STATUS) == "0104030000000703EE"  # the Alberici manual's own example
    assert bench.ask(PLAIN) == NAK, "disabled again"
    assert bench.device.status()["coins_dispensed"] == 7


def test_it_can_be_stopped_and_filled_and_its_levels_asked():
    bench = Bench(works=Works(coins=19, coin_ms=10))
    assert bench.ask("030001D923") == "0101030011EA"  # below the low sensor, which is fitted
    bench.say("fill 5")
    assert bench.ask("030001D923") == "0101030010EB"
    bench.ask(ENABLE)
    bench.ask("030401A7DFD70A058C")
    bench.now_ms += 20
    assert bench.ask("030001AC50") == "0101030003F8"
    assert bench.ask("030001A854") == "01030300020000F7"


def test_other_headers_and_lines_are_refused():
    bench = Bench(works=Works(has_count=False, has_levels=False))
    assert bench.ask("030001A854") == bench.ask("030001D923") == bench.ask("030001E517") == NAK
    with pytest.raises(ScriptError, match="is not a line of a hopper; there are `fill COUNT`"):
        bench.say("coin 3")


def test_a_bus_hands_a_line_to_the_slave_it_names():
    bus = CctalkBusSimulator({3: CctalkHopperSimulator(works=Works(coins=1))}, echo=True)
    assert bus.command(["3", "fill", "4"], now_ms=0) == 0
    assert bus.status() == {"3": {"coins_dispensed": 0, "coins_left": 5, "payouts": 0, "resets": 0}}
    assert bus.feed(bytes.fromhex(STATUS), now_ms=0).hex().upper() == STATUS + "0104030000000000F8"
    with pytest.raises(ScriptError, match="begin with one of 3"):
        bus.command(["2", "coin", "3"], now_ms=0)
