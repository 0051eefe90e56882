"""The link is cut and each side killed at every step of the protocol, and the books are equal each time."""

import asyncio
import contextlib
import math
import random
import time
from typing import NamedTuple

import pytest

from benchmarks.versus.ours import Ours
from benchmarks.versus.rig import READY_S
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import MqttLink, MqttLinkError, MqttSettings
from cloud_sync.protocol.envelope import STREAM_LEDGER, parse_envelope
from cloud_sync.upload_window import WINDOW_BATCHES
from edge_agent.ledger.reader import LedgerReader
from tests.support.mqtt_tap import MqttTap, Step
from tests.support.sizes import count, size
from venuehub.demo.audit import read_books
from venuehub.demo.brokers import free_port
from venuehub.demo.plan import ZONES

pytestmark = pytest.mark.slow
COINS = 3
AT_HELLO = (("hub", True, "hello"), ("hub", False, "receipt"))
AT_BATCH = (
    ("hub", True, "batch"),
    ("hub", False, "puback"),
    ("office", False, "batch"),
    ("office", True, "puback"),
    ("office", True, "receipt"),
    ("office", False, "puback"),
    ("hub", False, "receipt"),
    ("hub", True, "puback"),
)
ACTS = ("cut", "hub", "office")
EQUAL_S = 60.0
FAULTY = frozenset({"hello", "batch", "request", "receipt", "lease", "command"})
LOST, DOUBLED, SHUFFLED = 0.2, 0.3, 50
HELD_S = 1.0
"""How long a letter may be held that nothing overtakes."""
GONE_S = 6.0
"""Longer than a resend takes."""


class Journey(Ours):
    """A hub and an office as processes, each on a line of its own to the office's broker."""

    def __init__(self, folder):
        super().__init__(folder, folder / "venue" / "hub" / "state")
        self.line = MqttTap(self.far_port)
        self.office_line = MqttTap(self.far_port)

    async def begin(self):
        await self.set_up()
        await self.broker("office-broker", self.far_port)
        await self.office_line.start()
        await self.start_office(self.office_line.port)
        await self.start_edge()
        await self.edge_ready()

    async def stop(self):
        await super().stop()
        await self.office_line.stop()

    def act(self, what, tap):
        """Return what is done at a step: it says whether the connection it was seen on goes on."""

        def cut():
            tap.reset()
            return False

        def kill():
            (self.edge if what == "hub" else self.office).kill()
            return True

        return cut if what == "cut" else kill

    def owed(self):
        """Count the hub's entries of which it has no receipt: a hub that was frozen gets none any more."""
        with contextlib.closing(LedgerReader(self.demo.hall(ZONES[0]).ledger)) as ledger:
            ((newest, known),) = ledger.rows(
                "SELECT (SELECT max(seq) FROM entries), (SELECT value FROM meta WHERE key = 'acked_seq')"
            )
        return newest - known

    async def equal(self, seconds=EQUAL_S):
        """Wait until every coin is in the books, the hub knows it, and they are the journal's, entry by entry."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.unsafe() and len(self.arrived()) == len(self.sent_at) and not self.owed():
                books = read_books(self.arcade, self.demo)
                if books.office_equals_hubs and not books.faults:
                    assert (books.balanced, books.gaps, books.duplicates) == (True, 0, 0)
                    assert self.figures() == {
                        "sent": len(self.sent_at), "lost": 0, "doubled": 0, "kept_by_devices": 0
                    }  # fmt: skip
                    return True
            await asyncio.sleep(0.1)
        return False


def cases():
    """Every step before and behind, with each act. A hub that is killed forgets its back-off: kills lie between."""
    steps = [Step(line, up, leaf, behind) for behind in (False, True) for line, up, leaf in (*AT_HELLO, *AT_BATCH)]
    return [(step, act) for step in steps for act in ACTS]


def some_of(every, wanted):
    """Return so many of them, spread over all."""
    return every[:: len(every) // wanted + 1]


def test_a_cut_or_a_kill_at_any_step_leaves_equal_books(tmp_path):
    every = cases()
    chosen = every if size() == "full" else some_of(every, 6)

    async def story():
        journey = Journey(tmp_path)
        try:
            await journey.begin()
            assert await journey.equal()
            for step, what in chosen:
                tap = journey.line if step.line == "hub" else journey.office_line
                tap.arm(step, journey.act(what, tap))
                if (step.line, step.up, step.leaf) in AT_HELLO:
                    journey.line.reset()
                await journey.feed(COINS, per_second=100)
                async with asyncio.timeout(READY_S):
                    await tap.fired.wait()
                assert await journey.equal(), f"{what} {step}"
        finally:
            await journey.stop()

    asyncio.run(story())


class Late(NamedTuple):
    """A letter under way: it comes behind so many letters in all, or at a time, whichever is first.

    batch_seq: of a batch of the ledger; 0: it is none.
    """

    place: int
    due: float
    letter: Publish
    batch_seq: int


class Overtaken:
    """Counts by how many later batches a first copy was overtaken; the next new one is held back until `wanted` were.

    A hub has `WINDOW_BATCHES` under way at most, so one fewer is the most that there can be.
    """

    def __init__(self):
        self.most = 0
        self.wanted = 0
        self._held = 0
        self._seen, self._there = set(), set()

    @property
    def holds(self):
        """Whether a batch is held back: nothing is lost meanwhile, so that the others come."""
        return self._held not in {0, *self._there}

    def came(self, seq):
        if self.wanted and not self._held and seq not in {0, *self._seen}:
            self._held = seq
        self._seen.add(seq)

    def may_go(self, seq):
        return not self.holds or seq != self._held or sum(other > seq for other in self._there) >= self.wanted

    def goes(self, seq):
        if seq not in {0, *self._there}:
            self.most = max(self.most, sum(other > seq for other in self._there))
        self._there.add(seq)


class Shuffler:
    """Carries letters between the hub's broker and the office's: some are lost, doubled, or overtaken by fifty.

    What comes twice comes the second time behind up to fifty later letters, however long that takes.
    """

    def __init__(self, hub_port, office_port, dice):
        self.gone = ""
        """A leaf of which nothing comes through for now."""
        self.overtaken = Overtaken()
        self._ports = hub_port, office_port
        self._dice = dice

    async def run(self):
        hub, office = (MqttSettings(host="127.0.0.1", port=port, client_id="post") for port in self._ports)
        async with MqttLink(hub) as near, MqttLink(office) as far:
            await near.subscribe("vh/1/+/+/up/#")
            await far.subscribe("vh/1/+/+/down/#", "vh/1/tenant/#")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(near, far))
                group.create_task(self._carry(far, near))

    async def _carry(self, source, target):
        waiting, came = [], 0

        async def deliver():
            while True:
                await asyncio.sleep(0.02)
                now = time.monotonic()
                due = [one for one in waiting if one.place <= came or one.due <= now]
                ready = [one for one in due if self.overtaken.may_go(one.batch_seq)]
                waiting[:] = [one for one in waiting if one not in ready]
                for one in sorted(ready, key=lambda one: min(one.place, came)):
                    self.overtaken.goes(one.batch_seq)
                    await target.publish_soon(one.letter.topic, one.letter.payload, retain=one.letter.retain)

        async def listen():
            nonlocal came
            async for message in source.messages():
                leaf = message.topic.rpartition("/")[2]
                letter = Publish(message.topic, message.payload, retain=leaf == "state" or "document" in message.topic)
                came += 1
                waiting.extend(self._copies(came, leaf, letter))

        with contextlib.suppress(MqttLinkError):
            async with asyncio.TaskGroup() as group:
                group.create_task(deliver())
                group.create_task(listen())

    def _copies(self, came, leaf, letter):
        """Return how often a letter goes on, and when."""
        seq = _batch_seq(leaf, letter)
        self.overtaken.came(seq)
        if leaf not in FAULTY:
            yield Late(came, 0.0, letter, seq)
        elif leaf != self.gone and (self._dice.random() >= LOST or self.overtaken.holds):
            yield self._late(came, letter, HELD_S, seq)
            if self._dice.random() < DOUBLED:
                yield self._late(came, letter, math.inf, seq)

    def _late(self, came, letter, held_s, seq):
        due = time.monotonic() + held_s * (1 - self._dice.random())
        return Late(came + self._dice.randint(0, SHUFFLED), due, letter, seq)


def _batch_seq(leaf, letter):
    if leaf != "batch":
        return 0
    header = parse_envelope(letter.payload).header
    return header.batch_seq if header.stream == STREAM_LEDGER else 0


async def in_bad_weather(folder, coins, *, hub_program=("edge_agent.app",), gone="", seconds=EQUAL_S, behind=0):
    """Feed coins to a hub behind a shuffler; return whether the books were equal in the end.

    behind: how many later batches have to overtake the first copy of one.
    gone: a leaf of which nothing comes through while the coins fall and for `GONE_S` behind them.
    """
    journey = Ours(folder, folder / "venue" / "hub" / "state")
    journey.line = MqttTap(journey.far_port)
    journey.hub_program = hub_program
    journey.owed, journey.equal = Journey.owed.__get__(journey), Journey.equal.__get__(journey)
    own_port = free_port()
    try:
        await journey.set_up()
        await journey.broker("hub-broker", journey.far_port)
        await journey.broker("office-broker", own_port)
        await journey.start_office(own_port)
        shuffler = Shuffler(journey.far_port, own_port, random.Random(4_711))
        post = asyncio.create_task(shuffler.run())
        await journey.start_edge()
        await journey.edge_ready()
        shuffler.gone, shuffler.overtaken.wanted = gone, behind
        await journey.feed(coins, per_second=40)
        if gone:
            await asyncio.sleep(GONE_S)
            shuffler.gone = ""
        equal = await journey.equal(seconds)
        post.cancel()
        await asyncio.gather(post, return_exceptions=True)
        assert shuffler.overtaken.most >= behind
        return equal
    finally:
        await journey.stop()


def test_letters_lost_doubled_and_shuffled_leave_equal_books(tmp_path):
    small = ("tests.support.broken_hub", "small-batches")  # so that a window of them is under way
    story = in_bad_weather(tmp_path, count(2_000), hub_program=small, seconds=180, behind=WINDOW_BATCHES - 1)
    assert asyncio.run(story)


@pytest.mark.parametrize(("mutant", "gone"), [("seals-again", "receipt"), ("prunes-on-puback", "batch")])
def test_a_hub_that_breaks_a_promise_of_the_post_is_caught(tmp_path, mutant, gone):
    program = ("tests.support.broken_hub", mutant)
    assert not asyncio.run(in_bad_weather(tmp_path, 40, hub_program=program, gone=gone, seconds=8))


@pytest.mark.full
@pytest.mark.parametrize("gone", ["receipt", "batch"])
def test_a_hub_that_keeps_them_is_not(tmp_path, gone):
    assert asyncio.run(in_bad_weather(tmp_path, 40, gone=gone))
