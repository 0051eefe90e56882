import asyncio
import time

import pytest
from gpiozero.pins.mock import MockFactory

from firmware_bridge.transports.gpio_lines import DEBOUNCE_MS, GpioLines, Pin, _time_of
from firmware_bridge.transports.interface import TransportClosedError, TransportError
from tests.support.driving import happens

COIN = {"coin": Pin(17, "low")}
READY = {"ready": Pin(27, "low")}


@pytest.fixture
def factory():
    factory = MockFactory()
    yield factory
    factory.close()


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


def test_an_output_is_idle_high_until_it_is_set_and_after_close(factory):
    async def story() -> None:
        lines = GpioLines(outputs=COIN, inputs={}, pin_factory=factory)
        pin = factory.pin(17)
        levels = [pin.state]
        await lines.set("coin", active=True)
        levels.append(pin.state)
        await lines.set("coin", active=False)
        levels.append(pin.state)
        assert levels == [True, False, True]
        lines.close()
        lines.close()
        with pytest.raises(TransportClosedError):
            await lines.set("coin", active=True)
        with pytest.raises(TransportClosedError):
            await lines.edge()

    run(story)


def test_an_input_tells_its_first_level_and_bounce_is_one_edge_with_the_first_time(factory):
    async def story() -> None:
        lines = GpioLines(outputs={}, inputs=READY, pin_factory=factory)
        first = await lines.edge()
        assert (first.line, first.active) == ("ready", False)
        pin = factory.pin(27)
        before_ns = time.monotonic_ns()
        for _ in range(3):
            pin.drive_low()
            pin.drive_high()
        pin.drive_low()
        after_ns = time.monotonic_ns()
        edge = await lines.edge()
        assert edge.active
        assert before_ns <= edge.at_ns <= after_ns
        assert time.monotonic_ns() - after_ns >= DEBOUNCE_MS * 1_000_000 // 2
        lines.close()

    run(story)


def test_a_glitch_that_goes_back_is_no_edge(factory):
    async def story() -> None:
        lines = GpioLines(outputs={}, inputs=READY, pin_factory=factory)
        await lines.edge()
        begun_s = time.monotonic() - 0.002
        for after_s, level in ((0.0, 0), (0.002, 1)):
            lines._callbacks[0](begun_s + after_s, level)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lines.edge(), 4 * DEBOUNCE_MS / 1_000)
        lines.close()

    run(story)


def test_a_pin_that_cannot_be_had_is_refused_with_a_remedy(factory):
    async def story() -> None:
        with pytest.raises(TransportError, match="Is this a Raspberry Pi with lgpio"):
            GpioLines(outputs={"a": Pin(17, "low"), "b": Pin(17, "low")}, inputs={}, pin_factory=factory)

    run(story)


def test_an_edge_has_the_time_at_which_the_kernel_saw_it_not_when_we_heard_of_it(factory):
    async def story() -> None:
        lines = GpioLines(outputs={}, inputs=READY, pin_factory=factory)
        await lines.edge()
        seen_s = time.monotonic() - 0.2
        lines._callbacks[0](seen_s, 0)  # as a thread of gpiozero does that was held up
        factory.pin(27).drive_low()
        assert (await lines.edge()).at_ns == round(seen_s * 1_000_000_000)
        lines.close()

    run(story)


def test_a_pulse_that_came_and_went_while_the_program_was_held_up_is_not_lost(factory):
    async def story() -> None:
        lines = GpioLines(outputs={}, inputs=READY, pin_factory=factory)
        await lines.edge()
        begun_s = time.monotonic() - 0.3
        for after_s, level in ((0.0, 0), (0.03, 1), (0.2, 0), (0.202, 1)):  # a pulse of 30 ms, and a glitch of 2 ms
            lines._callbacks[0](begun_s + after_s, level)
        edges = [await lines.edge() for _ in range(2)]
        assert [edge.active for edge in edges] == [True, False]
        assert edges[1].at_ns - edges[0].at_ns == pytest.approx(30_000_000, abs=1_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lines.edge(), 4 * DEBOUNCE_MS / 1_000)
        lines.close()

    run(story)


@pytest.mark.parametrize("lost", [False, True])
def test_an_edge_that_is_on_its_way_is_waited_for_and_one_that_was_lost_is_not(factory, lost):
    async def story() -> None:
        lines = GpioLines(outputs={}, inputs=READY, pin_factory=factory)
        await lines.edge()
        begun_s = time.monotonic()
        lines._callbacks[0](begun_s, 0)  # the pin is idle again, and nobody has said so yet
        await asyncio.sleep(2 * DEBOUNCE_MS / 1_000)
        if lost:
            await happens(lambda: not lines._waiting)
            assert lines._settled.empty()
        else:
            lines._callbacks[0](begun_s + 0.009, 1)
            edges = [await lines.edge() for _ in range(2)]
            assert [edge.active for edge in edges] == [True, False]
        lines.close()

    run(story)


@pytest.mark.parametrize("ticks", [0.0, 1.8e9])
def test_a_kernel_that_tells_another_clock_is_not_believed(ticks):
    before_ns = time.monotonic_ns()
    assert before_ns <= _time_of(ticks) <= time.monotonic_ns()
