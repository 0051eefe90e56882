"""A real bridge process, a real broker, a real simulated machine: what the hub sees, also when the bridge is killed."""

import asyncio
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from firmware_bridge.app import main
from firmware_bridge.slots import UNBOOKED_COINS
from payment_core.bus import Birth, Booked, DeviceState, decode, device_topic, encode, parse_topic
from payment_core.commands import Command, PulseCredit, Result, make_command
from payment_core.events import CoinInserted, CreditDelivered, Event, event_body
from tests.support.sizes import count
from venuehub.demo.brokers import free_port
from venuehub.identify import DeviceSilentError, prepare

pytestmark = pytest.mark.slow
HUB = "hub-1"
LINE = "racer-1"
COINS = "coins"
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Venue:
    """Broker, one machine, one bridge; each a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.machine_place = folder / "machine-01.sock"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        (folder / "m.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        (folder / "bridge.toml").write_text(
            f'bridge = "hall"\nhub = "{HUB}"\nstate_dir = "{folder}/state"\n[broker]\nport = {self.port}\n'
            f'[[device]]\nid = "{LINE}"\nprofile = "arcade-coin-line"\nsocket = "{self.machine_place}"\n'
            "[device.pulse]\nwidth_ms = 25\ngap_ms = 25\n"
            f'[[device]]\nid = "{COINS}"\nprofile = "cctalk-coin-acceptor"\nport = "{folder}/acceptor"\n'
        )

    def start(self, name: str) -> None:
        python = [sys.executable, "-m"]
        command = {
            "broker": [BROKER, "-c", str(self.folder / "m.conf")],
            "machine": [*python, "firmware_bridge.simulators.game_machine", "--dir", str(self.folder)],
            "acceptor": [
                *python,
                "venuehub",
                "device",
                "emulate",
                "cctalk-coin-acceptor",
                "--link",
                f"{self.folder}/acceptor",
                "--status",
                f"{self.folder}/coins.json",
            ],
            "bridge": [*python, "firmware_bridge.app", "--config", str(self.folder / "bridge.toml")],
        }[name]
        log = (self.folder / f"{name}.log").open("a")
        with log:
            self.processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)

    def end(self, name: str, number: int = signal.SIGKILL) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        code = process.wait(30)
        if process.stdin is not None:
            process.stdin.close()
        return code

    def tell(self, name: str, line: str) -> None:
        process = self.processes[name]
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()

    def coins(self) -> dict[str, int]:
        return json.loads((self.folder / "coins.json").read_text())

    async def credits_seen(self) -> int:
        reader, writer = await asyncio.open_unix_connection(self.machine_place)
        writer.write(b'{"ask":"status"}\n')
        await reader.readline()
        seen = json.loads(await reader.readline())["status"]["credits_seen"]
        writer.close()
        await writer.wait_closed()
        return int(seen)


class Hub:
    """What a hub sees and says; it books credits only when told to, and coins as they come where `books_coins`."""

    def __init__(self, link: MqttLink) -> None:
        self.link = link
        self.births: dict[str, Birth] = {}
        self.states: dict[str, str] = {}
        self.results: dict[str, Result] = {}
        self.delivered: dict[str, int] = {}
        self.events: list[Event] = []
        self.coins: dict[tuple[int, int], CoinInserted] = {}
        self.changed = asyncio.Condition()
        self.books_coins = False

    async def listen(self) -> None:
        async for message in self.link.messages():
            address = parse_topic(message.topic)
            assert address is not None
            content = decode(address.leaf, message.payload)
            async with self.changed:
                match content:
                    case Birth():
                        self.births[address.name] = content
                    case DeviceState():
                        self.states[address.name] = content.state
                    case Result():
                        self.results[content.id] = content
                    case Event():
                        self.take(address.name, content)
                        if self.books_coins and address.name == COINS:
                            await self.book_coins(content.epoch)
                    case _:
                        pass
                self.changed.notify_all()

    def take(self, device: str, event: Event) -> None:
        match event_body(event):
            case CreditDelivered() as credit:
                assert device == LINE
                self.events.append(event)
                self.delivered[credit.id] = credit.credits
            case CoinInserted() as coin:
                assert device == COINS
                assert self.coins.setdefault((event.epoch, event.seq), coin) == coin
            case other:
                pytest.fail(f"nothing may be lost: {other}")

    async def until(self, wanted) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(wanted)

    async def online(self) -> str:
        """Wait for a birth of a bridge not met before and its line online; returns the boot id."""
        known = getattr(self, "_met", "")
        await self.until(
            lambda: (
                LINE in self.births and self.births[LINE].boot_id != known and self.states.get(LINE) == "online"
                and self.states.get("hall") == "online"
            )
        )  # fmt: skip
        self._met = self.births[LINE].boot_id
        return self._met

    async def send(self, number: int, *, boot_id: str, credits_: int = 1, ttl_ms: int = 2_000) -> str:
        command_id = f"00000000-0000-7000-8000-{number:012d}"
        command = make_command(PulseCredit(credits_), command_id=command_id, seq=number, boot_id=boot_id, ttl_ms=ttl_ms)
        await self.link.publish(device_topic(HUB, LINE, "command"), encode(command))
        return command_id

    async def book_coins(self, epoch: int) -> None:
        """Book what came without a gap, as a hub does after its commit."""
        seq = 0
        while (epoch, seq + 1) in self.coins:
            seq += 1
        if seq:
            booked = Booked(epoch=epoch, seq=seq, counter=self.coins[epoch, seq].counter)
            await self.link.publish_soon(device_topic(HUB, COINS, "booked"), encode(booked), retain=True)

    async def book(self) -> None:
        last = self.events[-1]
        await self.link.publish(
            device_topic(HUB, LINE, "booked"), encode(Booked(epoch=last.epoch, seq=last.seq, counter=-1)), retain=True
        )


@contextlib.asynccontextmanager
async def open_hub(venue: Venue):
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(BrokerUnavailableError):
                link = await MqttLink(MqttSettings(host="127.0.0.1", port=venue.port)).__aenter__()
                break
    await link.subscribe(*(device_topic(HUB, "+", leaf) for leaf in ("birth", "state", "event", "result")))
    hub = Hub(link)
    task = asyncio.ensure_future(hub.listen())
    try:
        yield hub
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, BrokerUnavailableError):
            await task
        await link.__aexit__(None, None, None)


@pytest.fixture
def venue(tmp_path: Path):
    venue = Venue(tmp_path)
    for name in ("broker", "machine", "bridge"):
        venue.start(name)
    yield venue
    for name in list(venue.processes):
        venue.end(name)


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_credit_is_given_once_told_until_booked_and_answered_when_asked_again(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
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
            assert await venue.credits_seen() == 3
            assert venue.end("bridge", signal.SIGTERM) == 0
            await hub.until(lambda: hub.states == {LINE: "offline", COINS: "offline", "hall": "offline"})

    run(story)


def test_a_jam_is_a_state_and_a_failed_command_and_the_broker_tells_when_the_bridge_dies(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            venue.tell("machine", "jam")
            await hub.until(lambda: hub.states[LINE] == "fault")
            wish = await hub.send(1, boot_id=boot_id)
            await hub.until(lambda: wish in hub.results)
            assert hub.results[wish] == Result(id=wish, outcome="failed", amount=0, reason="machine_not_ready")
            venue.end("bridge")
            await hub.until(lambda: hub.states["hall"] == "offline")
            assert await venue.credits_seen() == 0

    run(story)


def test_killed_in_mid_train_again_and_again_nothing_is_given_twice_and_every_command_has_an_end(venue):
    dice = random.Random(7)
    rounds = max(4, count(40))

    async def story() -> None:
        async with open_hub(venue) as hub:
            asked: dict[str, tuple[int, int]] = {}
            for number in range(1, rounds + 1):
                boot_id = await hub.online()
                wish = await hub.send(number, boot_id=boot_id, credits_=3)
                asked[wish] = (number, 3)
                await asyncio.sleep(dice.uniform(0, 0.25))  # the moment of the kill is the point
                venue.end("bridge")
                venue.start("bridge")
            boot_id = await hub.online()
            for number, _ in asked.values():
                await hub.send(number, boot_id=boot_id, ttl_ms=0)
            await hub.until(lambda: set(asked) <= set(hub.results))
            outcomes = {wish: hub.results[wish].outcome for wish in asked}
            assert set(outcomes.values()) <= {"done", "unknown", "refused"}
            delivered = {wish for wish, outcome in outcomes.items() if outcome == "done"}
            await hub.until(lambda: delivered <= set(hub.delivered))
            seen = await venue.credits_seen()
            doubts = sum(1 for outcome in outcomes.values() if outcome == "unknown")
            assert 3 * len(delivered) <= seen <= 3 * (len(delivered) + doubts)
            keys = {(event.epoch, event.seq): bytes(event.body) for event in hub.events}
            assert all(keys[event.epoch, event.seq] == bytes(event.body) for event in hub.events)

    run(story)


def test_killed_among_coins_none_is_lost_or_doubled(venue):
    dice = random.Random(7)
    rounds = max(3, count(40))
    venue.start("acceptor")

    async def story() -> None:
        async with open_hub(venue) as hub:
            hub.books_coins = True
            for _ in range(rounds):
                await hub.online()
                await hub.until(lambda: hub.states.get(COINS) == "online")
                for _ in range(dice.randint(1, 3)):
                    venue.tell("acceptor", "coin 2")
                await asyncio.sleep(dice.uniform(0, 0.2))  # the moment of the kill is the point
                venue.end("bridge")
                hub.states.clear()
                venue.start("bridge")
            await hub.online()
            await hub.until(lambda: hub.states.get(COINS) == "online")
            await hub.until(lambda: len(hub.coins) >= venue.coins()["coins_inserted"] > 0)
            venue.end("bridge", signal.SIGTERM)
            assert len(hub.coins) == venue.coins()["coins_inserted"]
            counters = [coin.counter for coin in hub.coins.values()]
            assert len(set(counters)) == len(counters)

    run(story)


def test_a_coin_that_nobody_books_shuts_the_slot_until_it_is_booked(venue):
    venue.start("acceptor")

    async def given_back(number: int) -> None:
        async with asyncio.timeout(20):
            while venue.coins()["coins_given_back"] < number:
                venue.tell("acceptor", "coin 2")
                await asyncio.sleep(0.3)

    async def story() -> None:
        async with open_hub(venue) as hub:
            await hub.online()
            await hub.until(lambda: hub.states.get(COINS) == "online")
            await given_back(1)
            assert len(hub.coins) <= UNBOOKED_COINS + 1, "one may fall while the slot shuts"
            seen, hub.books_coins = len(hub.coins), True
            async with asyncio.timeout(20):
                while len(hub.coins) == seen:
                    venue.tell("acceptor", "coin 2")
                    await asyncio.sleep(0.3)

    run(story)


def test_a_broker_that_is_away_is_waited_for_with_one_line_in_the_log(tmp_path):
    venue = Venue(tmp_path)
    venue.start("machine")
    venue.start("bridge")

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in (tmp_path / "bridge.log").read_text().splitlines()]

    async def story() -> None:
        async with asyncio.timeout(20):
            while "broker.away" not in [line["event"] for line in lines()]:  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.02)
        venue.start("broker")
        async with open_hub(venue) as hub:
            await hub.online()

    run(story)
    assert [line["event"] for line in lines()].count("broker.away") == 1
    for name in list(venue.processes):
        venue.end(name)


def test_wrong_settings_and_an_unusable_state_folder_have_their_exit_codes(tmp_path, capsys):
    config = tmp_path / "bridge.toml"
    assert main(["--config", str(config)]) == 2
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "file").touch()
    config.write_text(f'bridge = "hall"\nhub = "h"\nstate_dir = "{tmp_path}/file/state"\n')
    assert main(["--config", str(config)]) == 69
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "state.unusable"
    assert f"{tmp_path}/file/state" in line["error"]


def test_a_log_from_an_old_card_begins_a_new_epoch_and_loses_nothing(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            await hub.send(1, boot_id=boot_id)
            await hub.until(lambda: len(hub.delivered) == 1)
            await hub.book()
            venue.end("bridge", signal.SIGTERM)
            image = (venue.folder / "state/values.log").read_bytes()
            venue.start("bridge")
            await hub.send(2, boot_id=await hub.online())
            await hub.until(lambda: len(hub.delivered) == 2)
            await hub.book()
            former = hub.events[-1].epoch
            venue.end("bridge", signal.SIGTERM)
            (venue.folder / "state/values.log").write_bytes(image)
            venue.start("bridge")
            await hub.send(3, boot_id=await hub.online())
            await hub.until(lambda: len(hub.delivered) == 3)
            assert (hub.events[-1].epoch != former, hub.events[-1].seq) == (True, 1)

    run(story)


def test_an_old_card_is_found_out_however_late_the_hub_s_booking_comes(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            await hub.send(1, boot_id=await hub.online())
            await hub.until(lambda: len(hub.delivered) == 1)
            former = hub.events[-1].epoch
            await hub.send(2, boot_id=hub.births[LINE].boot_id)
            topic = device_topic(HUB, LINE, "booked")
            await hub.link.publish(topic, encode(Booked(epoch=former, seq=20, counter=0)))
            await hub.until(lambda: len(hub.delivered) == 2 and hub.events[-1].epoch != former)
            assert hub.events[-1].seq in {1, 2}

    run(story)


def test_an_epoch_goes_out_when_the_one_before_it_is_booked(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            await hub.send(1, boot_id=await hub.online())
            await hub.until(lambda: len(hub.delivered) == 1)
            first = hub.events[0]
            venue.end("bridge", signal.SIGTERM)
            behind = Booked(epoch=first.epoch, seq=9, counter=9)
            await hub.link.publish(device_topic(HUB, COINS, "booked"), encode(behind), retain=True)
            venue.start("bridge")
            boot_id = await hub.online()
            second = await hub.send(2, boot_id=boot_id)
            async with asyncio.timeout(20):
                while second not in hub.results:
                    await hub.send(2, boot_id=boot_id, ttl_ms=0)
                    await asyncio.sleep(0.05)
            told = len(hub.events)
            await hub.until(lambda: len(hub.events) > told)
            assert {(event.epoch, event.seq) for event in hub.events} == {(first.epoch, 1)}
            await hub.book()
            await hub.until(lambda: second in hub.delivered)
            assert (hub.events[-1].epoch != first.epoch, hub.events[-1].seq) == (True, 1)

    run(story)


def test_a_command_too_long_for_any_meaning_is_thrown_away_with_a_line_in_the_log(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            await hub.link.publish(device_topic(HUB, LINE, "command"), encode(_long_command(boot_id)))
            wish = await hub.send(2, boot_id=boot_id)
            await hub.until(lambda: wish in hub.delivered)
            assert set(hub.delivered) == {wish}

    run(story)
    lines = [json.loads(line) for line in (venue.folder / "bridge.log").read_text().splitlines()]
    assert [line["most"] for line in lines if line["event"] == "bus.too_long"] == [4_096]


def _long_command(boot_id: str) -> Command:
    body = msgspec.Raw(msgspec.json.encode({"credits": 1, "more": "x" * 5_000}))
    command_id = "00000000-0000-7000-8000-000000000001"
    return Command(id=command_id, seq=1, boot_id=boot_id, ttl_ms=2_000, kind="PulseCredit", body=body)


def test_a_bridge_answers_for_its_profiles_while_it_serves(venue):
    """`Prepare`, asked as `venuehub device check --bridge` asks it."""

    async def story() -> None:
        async with open_hub(venue) as hub:
            boot_id = await hub.online()
            settings = MqttSettings(host="127.0.0.1", port=venue.port)
            asked = asyncio.ensure_future(prepare("hall", settings, profiles=()))
            for number in range(1, 4):
                wish = await hub.send(number, boot_id=boot_id)
                await hub.until(lambda wish=wish: wish in hub.delivered)
                await hub.book()
            answer = await asked
            assert (answer.outcome, answer.problems) == ("done", ())
            assert answer.cases >= 6
            wrong = await prepare("hall", settings, profiles=("teleporter",))
            assert (wrong.outcome, wrong.problems) == ("failed", ("teleporter: this release does not have it",))
            told = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "venuehub",
                    "device",
                    "check",
                    "arcade-coin-line",
                    "--bridge",
                    "hall",
                    "--json",
                ),
                *("--broker", f"mqtt://127.0.0.1:{venue.port}"),
                stdout=asyncio.subprocess.PIPE,
            )
            answer = json.loads((await told.communicate())[0])
            assert (told.returncode, answer["outcome"], answer["cases"]) == (0, "done", 4)
            with pytest.raises(DeviceSilentError, match="no bridge has announced"):
                await prepare("nobody", settings, profiles=())

    run(story)
