"""Every golden case of the catalog, played; and broken drivers that fail them."""

import asyncio

import msgspec
import pytest

from device_profiles.golden_cases import Golden, GoldenAnswer, GoldenCommand, GoldenEvent
from device_profiles.loading import load_catalog
from firmware_bridge import golden
from firmware_bridge.drivers import ssp_line, ssp_validator
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import Answer, ValueFact
from firmware_bridge.golden import check_profile, play
from firmware_bridge.wire.ssp import Event
from firmware_bridge.wire.ssp_credits import Counted, Tally, count_notes
from firmware_bridge.wire.ssp_crypto import unseal

pytestmark = pytest.mark.long

CATALOG = load_catalog()
COINS = CATALOG["cctalk-coin-acceptor"]
LINE = CATALOG["arcade-coin-line"]


def problems(profile) -> list[str]:
    verdicts = asyncio.run(check_profile(profile))
    assert [verdict.case for verdict in verdicts] == [case.name for case in profile.golden]
    return [f"{verdict.case}: {verdict.problem}" for verdict in verdicts if verdict.problem]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[str]]:
    """What went wrong, per profile; a case mostly waits, so some profiles are played side by side."""

    async def all_of_them() -> list[list[golden.Verdict]]:
        room = asyncio.Semaphore(5)

        async def one(name: str) -> list[golden.Verdict]:
            async with room:
                return await check_profile(CATALOG[name])

        return await asyncio.gather(*map(one, sorted(CATALOG)))

    played = dict(zip(sorted(CATALOG), asyncio.run(all_of_them()), strict=True))
    return {name: [f"{said.case}: {said.problem}" for said in cases if said.problem] for name, cases in played.items()}


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_golden_case_of_the_catalog_is_passed(verdicts, name):
    assert verdicts[name] == []


class Broken:
    """A driver that says some things otherwise than it should."""

    def __init__(self, driver, turn) -> None:
        self.driver = driver
        self.turn = turn

    async def run(self, inbox, outbox) -> None:
        between = asyncio.Queue(1)

        async def hand_on() -> None:
            while True:
                for said in self.turn(await between.get()):
                    await outbox.put(said)

        async with asyncio.TaskGroup() as group:
            group.create_task(hand_on())
            await self.driver.run(inbox, between)


def twice(said):
    return [said, said] if isinstance(said, ValueFact) else [said]


def silent(said):
    return [] if isinstance(said, ValueFact) else [said]


def boasting(said):
    return [msgspec.structs.replace(said, outcome="done", amount=3)] if isinstance(said, Answer) else [said]


@pytest.mark.long
@pytest.mark.parametrize(
    ("profile", "turn", "text"),
    [(COINS, twice, "events are"), (COINS, silent, "no event"), (LINE, boasting, "the answer is")],
)
def test_a_broken_driver_fails_its_golden_cases(monkeypatch, profile, turn, text):
    async def broken(device, page, **past):
        return Broken(await open_driver(device, page, **past), turn)

    monkeypatch.setattr(golden, "open_driver", broken)
    monkeypatch.setattr(golden, "DEADLINE_S", 1.0)
    assert any(text in problem for problem in problems(profile))


def coin_case(**changes) -> Golden:
    return msgspec.structs.replace(COINS.golden[0], **changes)


WRONG = [
    (COINS, coin_case(sends=("02 01 01 E4 01 17", "02 02 01 E7 07 00 0D")), "was not sent"),
    (COINS, coin_case(once=("02 00 01 E5 18",)), "was sent"),
    (COINS, coin_case(never=("02 02 01 E7 07 00 0D",)), "was sent"),
    (COINS, coin_case(events=()), "events are"),
    (COINS, coin_case(replies={}), "no event"),
    (COINS, coin_case(state="fault", reason="string"), "never fault string"),
    (COINS, coin_case(events=(GoldenEvent("CoinInserted", {"position": 3, "counter": 7}),)), "no event"),
    (COINS, coin_case(command=GoldenCommand("Accept", {"on": True}), answer=GoldenAnswer("failed")), "the answer"),
    (LINE, msgspec.structs.replace(LINE.golden[0], levels=("coin low", "coin high")), "levels are"),
    (LINE, msgspec.structs.replace(LINE.golden[0], levels=("coin low",) * 9), "levels are"),
    (LINE, msgspec.structs.replace(LINE.golden[0], edges=("ready high",)), "the answer is"),
    (LINE, msgspec.structs.replace(LINE.golden[0], command=None), "no answer"),
]


@pytest.mark.long
def any_count(data: bytes, *, key: bytes, count: int) -> bytes | None:
    """Open a sealed answer whatever its count is: a broken build."""
    return next((said for told in (count, count - 2) if (said := unseal(data, key=key, count=told))), None)


def forgets_the_tally(tally: Tally, events: list[Event]) -> Counted:
    """Take every credit for a new one: a broken build."""
    return count_notes(msgspec.structs.replace(tally, told=0, moving=False), events)


@pytest.mark.parametrize(
    ("room", "name", "broken", "case"),
    [
        (ssp_line, "unseal", any_count, "an old answer with the credit"),
        (ssp_validator, "count_notes", forgets_the_tally, "it loses power behind the credit"),
    ],
)
def test_an_encrypted_note_that_is_credited_twice_is_noticed(monkeypatch, room, name, broken, case):
    essp = CATALOG["itl-nv9-essp"]
    (played,) = (each for each in essp.golden if each.name.startswith(case))
    monkeypatch.setattr(room, name, broken)
    at_once = msgspec.structs.replace(played, sends=())  # a second credit comes soon, and what is sent goes astray
    assert "events are" in asyncio.run(play(essp, at_once if room is ssp_line else played))


def test_a_case_that_says_otherwise_is_not_passed(monkeypatch):
    monkeypatch.setattr(golden, "DEADLINE_S", 1.0)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(play(profile, case) for profile, case, _ in WRONG))

    for problem, (_, case, text) in zip(asyncio.run(all_of_them()), WRONG, strict=True):
        assert text in problem, case


def test_commands_before_the_command_and_what_the_device_says_by_itself():
    replies = COINS.golden[0].replies
    case = Golden(
        name="commands before the command",
        replies=replies,
        says=("FF", "gap 5ms", "FF FF"),
        first=(GoldenCommand("Accept", {"on": False}), GoldenCommand("Accept", {"on": True})),
        command=GoldenCommand("Accept", {"on": False}),
        after=1,
        sends=("02 01 01 E4 00 18", "02 01 01 E4 01 17", "02 01 01 E4 00 18"),
        answer=GoldenAnswer("done"),
        events=COINS.golden[0].events,
    )
    assert asyncio.run(play(COINS, case)) == ""


def test_a_port_that_is_not_there_is_the_devices_state():
    page = msgspec.structs.replace(COINS, driver="teleport")
    assert asyncio.run(play(page, Golden(name="no such driver", state="fault", reason="asks for driver"))) == ""
