"""The gate between a driver and the bridge."""

import asyncio

import pytest

from firmware_bridge import gate as gate_module
from firmware_bridge.drivers.interface import Answer, Condition, ValueFact, Wish
from firmware_bridge.gate import Attached, Gate
from payment_core.events import CodeScanned, CoinInserted

COIN = ValueFact(CoinInserted(1, 1), 0.0, 1)
CODE = Wish(CodeScanned("x"), 0.0)


def told(steps, *, expected: str = "17", usb: str = "", gate: type[Gate] = Gate) -> tuple[list[object], Gate]:
    """Return what passes of `steps`, in which a number is so many seconds of looking."""

    async def story() -> tuple[list[object], Gate]:
        out: asyncio.Queue[object] = asyncio.Queue()
        built = gate("coins", expected=expected, inbox=asyncio.Queue(), out=out)
        built.usb = usb
        await built.open()
        for step in steps:
            for _ in range(step if isinstance(step, int) else 0):
                seen = built.look()
                if seen is not None:
                    out.put_nowait(seen)
            if not isinstance(step, int):
                await built.put(step)
        return [out.get_nowait() for _ in range(out.qsize())], built

    return asyncio.run(story())


def test_a_device_that_never_says_its_number_is_known_by_its_usb_name():
    a7, b8 = "usb:1a86:7523:A7", "usb:1a86:7523:B8"
    passed, gate = told([COIN, Condition("online")], expected=a7, usb=a7)
    assert (passed[2], gate.name) == (COIN, a7)
    passed, gate = told([COIN, Condition("online")], expected=a7, usb=b8)
    assert passed == []
    assert gate.stranger.result() == f"serial {b8} is there, and {a7} is known"
    passed, gate = told([Condition("online", serial="17")], expected="17", usb=b8)
    assert (gate.trusted, gate.name) == (True, "17")
    _, fresh = told([Condition("online")], expected="", usb=b8)
    assert fresh.name == b8


def test_what_was_said_before_the_name_passes_behind_it_in_order():
    online = Condition("online", serial="17")
    passed, gate = told([Condition("offline"), COIN, CODE, online, COIN])
    assert passed[0] == Condition("offline")
    assert isinstance(passed[1], Attached)
    assert passed[2:] == [online, COIN, CODE, COIN]
    assert gate.trusted


def test_nothing_of_a_stranger_passes():
    passed, gate = told([COIN, Condition("online", serial="18"), COIN, Condition("online", serial="17"), COIN])
    assert passed == []
    assert gate.stranger.result() == "serial 18 is there, and 17 is known"


def test_a_device_that_is_swapped_while_it_serves_is_a_stranger():
    passed, gate = told([Condition("online", serial="17"), COIN, Condition("online", serial="18"), COIN])
    assert passed[2:] == [COIN]
    assert gate.stranger.done()


def named(serial: str = "17") -> Condition:
    return Condition("online", serial=serial)


def swapped_for_a_nameless_one(gate: type[Gate] = Gate, *, expected: str = "17") -> list[object]:
    """It serves, is away, and what comes back says no serial number and a coin."""
    return told([named(), COIN, Condition("offline"), Condition("online"), COIN], expected=expected, gate=gate)[0]


@pytest.mark.parametrize("expected", ["17", ""], ids=["known", "first run"])
def test_a_nameless_device_that_comes_back_for_a_named_one_sells_nothing(monkeypatch, expected):
    assert swapped_for_a_nameless_one(expected=expected)[1:] == [named(), COIN, Condition("offline")]
    monkeypatch.setattr(gate_module, "UNNAMED_S", -1)
    _, gate = told([named(), Condition("offline"), Condition("online"), COIN, 1], expected=expected)
    assert gate.stranger.result() == "it does not say its serial number, and 17 is known"


class TrustingGate(Gate):
    """A broken build: who was known once is known for good."""

    def _follow(self, said: Condition) -> None:
        trusted, serial = self.trusted, self.serial
        super()._follow(said)
        self.trusted, self.serial = trusted, serial


def test_mutant_trust_that_outlives_an_absence_sells_for_a_stranger():
    assert swapped_for_a_nameless_one(TrustingGate).count(COIN) == 2


@pytest.mark.parametrize("expected", ["17", ""], ids=["known", "first run"])
def test_a_device_that_was_away_is_heard_again_when_it_has_said_its_name(expected):
    away, answer = Condition("offline"), Answer("a", "failed", reason="no_answer")
    passed, gate = told([named(), COIN, away, answer, COIN, named(), COIN], expected=expected)
    assert passed[1:] == [named(), COIN, away, answer, named(), COIN, COIN]
    assert sum(isinstance(said, Attached) for said in passed) == 1
    assert gate.trusted


def test_in_a_first_run_another_device_in_the_place_is_a_stranger():
    passed, gate = told([named(), named("18"), COIN], expected="")
    assert passed[1:] == [named()]
    assert gate.stranger.result() == "serial 18 is there, and 17 is known"


def test_a_device_that_is_known_by_its_port_is_trusted_over_an_absence():
    a7 = "usb:1a86:7523:A7"
    passed, _ = told([Condition("online"), Condition("offline"), Condition("online"), COIN], expected=a7, usb=a7)
    assert passed[-1] == COIN
    passed, _ = told([Condition("online"), Condition("offline"), Condition("online"), COIN], expected="")
    assert passed[-1] == COIN, "nobody knows a name of it"


def test_any_device_passes_where_none_is_known():
    passed, gate = told([COIN, Condition("online", serial="18"), Answer("a", "done")], expected="")
    assert isinstance(passed[0], Attached)
    assert passed[1:] == [COIN, Condition("online", serial="18"), Answer("a", "done")]
    assert gate.serial == "18"


def test_a_device_that_does_not_say_its_name_is_a_stranger_in_the_end(monkeypatch):
    monkeypatch.setattr(gate_module, "UNNAMED_S", -1)
    passed, gate = told([Condition("online"), COIN, 1])
    assert passed == []
    assert "does not say its serial number" in gate.stranger.result()
    _, chatty = told([COIN] * 257)
    assert "says much" in chatty.stranger.result()


def test_a_babbling_line_is_a_fault_within_ten_seconds_and_ends_when_it_is_quiet():
    def online(noise: int) -> Condition:
        return Condition("online", noise=noise)

    noisy = [step for second in range(1, 6) for step in (online(second * 200), 1)]
    passed, _ = told([online(0), 1, *noisy, online(1_001), 5, online(1_001)], expected="")
    states = [(said.state, said.reason, said.noise) for said in passed[1:]]
    alarm = states.index(("fault", "line_noise", 1_000))
    assert alarm <= 10
    assert ("fault", "line_noise", 1_001) in states
    assert states[-2:] == [("online", "", 1_001)] * 2


def test_a_burst_before_the_first_answer_is_no_alarm():
    passed, _ = told([Condition("online", noise=4_096), 9], expected="")
    assert [said.state for said in passed[1:]] == ["online"]


def test_it_counts_falls_and_knows_since_when_it_is_away():
    _, gate = told([Condition("offline"), Condition("online"), Condition("offline"), Condition("offline")], expected="")
    assert (gate.falls, gate.never_there) == (1, False)
    assert gate.offline_since is not None


def test_a_full_outbox_makes_the_driver_wait():
    async def story() -> None:
        out: asyncio.Queue[object] = asyncio.Queue(1)
        gate = Gate("coins", expected="", inbox=asyncio.Queue(), out=out)
        await gate.open()
        assert gate.full()
        with pytest.raises(asyncio.QueueFull):
            gate.put_nowait(COIN)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gate.put(COIN), 0.01)

    asyncio.run(story())
