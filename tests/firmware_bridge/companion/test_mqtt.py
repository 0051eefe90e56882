"""A board on a real broker, as the hub sees it: on CPython and on MicroPython, killed in mid-pulse too."""

import asyncio
import contextlib
import json
import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.companion import mqtt
from firmware_bridge.companion.bus import Bus, uid_of
from firmware_bridge.companion.channels import Output
from firmware_bridge.simulators.companion import CompanionSimulator
from payment_core.bus import Birth, decode
from payment_core.commands import Result
from tests.firmware_bridge.test_app import HUB, LINE, Venue, open_hub, run
from tests.support.boards import INTERPRETERS, environment, interpreter
from tests.support.sizes import count
from tests.support.tree import ROOT

COINS = 9
BOARD = ROOT / "tests" / "support" / "companion_board.py"


class BoardVenue(Venue):
    """The venue of the bridge's own test, with a board in the place of bridge and machine."""

    def __init__(self, folder, program):
        super().__init__(folder)
        self.program = program

    def start_board(self):
        with (self.folder / "board.log").open("a") as log:
            self.processes["board"] = subprocess.Popen(
                [self.program, str(BOARD), str(self.folder), str(self.port)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=environment(),
            )  # fmt: skip

    def pulses(self):
        return len((self.folder / "pulses").read_bytes().splitlines())


@pytest.fixture(params=INTERPRETERS)
def venue(request, tmp_path):
    venue = BoardVenue(tmp_path, interpreter(request.param))
    venue.start("broker")
    venue.start_board()
    yield venue
    for name in list(venue.processes):
        venue.end(name)


@pytest.mark.slow
def test_a_credit_is_given_once_told_until_booked_and_coins_are_told(venue):
    async def story():
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            assert hub.births[LINE].capabilities == ("PulseCredit",)
            wish = await hub.send(1, boot_id=boot_id, credits_=3)
            await hub.send(1, boot_id=boot_id, credits_=3)
            await hub.until(lambda: len(hub.events) >= 2)
            assert [(event.kind, event.seq) for event in hub.events[:2]] == [("CreditDelivered", 1)] * 2
            await hub.book()
            await hub.send(1, boot_id=boot_id, credits_=3)
            await hub.until(lambda: wish in hub.results)
            assert hub.results[wish] == Result(id=wish, outcome="done", amount=3)
            refused = await hub.send(2, boot_id=boot_id, ttl_ms=0)
            await hub.until(lambda: refused in hub.results)
            assert hub.results[refused].outcome == "refused"
            for _ in range(COINS):  # a busy machine may hold the switch too long for a coin, or look too late
                (venue.folder / "coin").touch()
                await asyncio.sleep(0.06)  # the switch of a coin is closed for so long
                (venue.folder / "coin").unlink()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await hub.until(lambda: bool(hub.coins))
                    break
            assert hub.coins
            assert venue.pulses() == 3
            venue.end("board")
            await hub.until(lambda: hub.states["hall"] == "offline")

    run(story)


@pytest.mark.slow
def test_killed_in_mid_pulse_it_answers_unknown_and_pulses_no_more(venue):
    dice = random.Random(5)

    async def story():
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            for number in range(1, max(2, count(40)) + 1):
                before = venue.pulses()
                wish = await hub.send(number, boot_id=boot_id, credits_=4)
                await asyncio.sleep(dice.uniform(0, 0.2))  # the moment of the kill is the point
                venue.end("board")
                begun = venue.pulses() - before
                venue.start_board()
                fresh = await hub.online()
                await hub.send(number, boot_id=boot_id, credits_=4)
                boot_id = fresh
                await hub.until(lambda wish=wish: wish in hub.results or wish in hub.delivered)
                assert venue.pulses() - before == begun
                outcome = "done" if wish in hub.delivered else hub.results[wish].outcome
                assert outcome in {0: {"refused", "unknown"}, 4: {"done", "unknown"}}.get(begun, {"unknown"})

    run(story)


def bus_of(channel):
    return Bus({"a": channel}, hub="h", bridge="b", boot="b" * 32, serial="s", firmware="f")


def test_packets_are_as_the_standard_writes_them():
    # CONNECT and PUBLISH by the tables of MQTT 3.1.1, sections 3.1 and 3.3.
    packet = mqtt.connect("c", keep_s=15, will=("w", b"x"))
    assert packet.hex(" ") == "10 13 00 04 4d 51 54 54 04 26 00 0f 00 01 63 00 01 77 00 01 78"
    assert mqtt.publish("a/b", b"hi", retain=True).hex(" ") == "31 07 00 03 61 2f 62 68 69"
    assert mqtt.subscribe(["a"]).hex(" ") == "82 06 00 01 00 01 61 00"
    assert mqtt.publish("a", bytes(200))[:3].hex() == "30cb01"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.lists(st.integers(1, 50), max_size=30))
def test_packets_are_found_in_any_cutting(payloads, cuts):
    raw = b"".join(mqtt.publish("t", payload) for payload in payloads)
    parser, found = mqtt.Parser(), []
    for cut in [*cuts, len(raw)]:
        found += parser.feed(raw[:cut])
        raw = raw[cut:]
    assert found == [(mqtt.PUBLISH, "t", payload) for payload in payloads]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_no_mqtt_is_given_up(pieces):
    parser = mqtt.Parser()
    try:
        for piece in pieces:
            parser.feed(piece)
    except ValueError:
        pass
    assert len(parser._bytes) <= mqtt.LONGEST + 200


names = st.sampled_from(["id", "kind", "body", "seq", "ttl_ms", "boot_id", "epoch"])
simple = st.none() | st.integers() | st.text(max_size=9)
shapes = st.recursive(simple, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner))


@given(st.binary(max_size=80) | shapes.map(lambda value: json.dumps(value).encode()))
def test_no_message_raises_or_pulses(payload):
    board = CompanionSimulator()
    bus = bus_of(board._output)
    for leaf in ("command", "booked", "result"):
        bus.heard(f"vd/1/h/dev/a/{leaf}", payload, 0)
    board.tick(now_ms=10)
    assert board.status()["pulses"] == 0


def test_its_words_are_those_of_the_device_bus():
    bus = bus_of(CompanionSimulator()._output)
    for topic, payload, retained in bus.hello():
        assert retained
        decode(topic.rsplit("/", 1)[1], payload)
    assert isinstance(decode("birth", bus.hello()[2][1]), Birth)
    assert bus.will()[0] == "vd/1/h/dev/b/state"
    assert isinstance(bus._devices["a"], Output)
    assert HUB == "hub-1"


@pytest.mark.parametrize(
    ("text", "uid"), [("0012345678", "00BC614E"), ("00bc614e", "00BC614E"), ("READY", ""), ("9999999999", "")]
)
def test_a_readers_line_is_a_cards_number_or_nothing(text, uid):
    assert uid_of(text) == uid
