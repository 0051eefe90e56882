"""What the demo arcade is: its halls, machines, devices, members and prices, all from one seed. Plain data."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from payment_core.money import Money
from payment_core.policy import ClassLimit, CoinValue, DevicesDocument, Lane, RiskDocument
from payment_core.pricing import Band, PriceList, PriceRule
from venuehub.demo.booths import device_booths
from venuehub.demo.persons import person_booths
from venuehub.demo.places import POOR_BALANCE, UNIT, Booth, Member, Place

MACHINES: Final = 12
MEMBERS: Final = 40
ZONES: Final = ("hall", "stage")
"""Each is a hall with a hub of its own; the two hubs are neighbours on one LAN."""
COIN_POSITION: Final = 3
COIN_VALUE: Final = 100
PLAY_PRICE: Final = 200
STEP_UP_OVER: Final = 400
"""Above every price of a machine: only a booth asks for a finger or a face."""
GHOSTS: Final = 6
DESK: Final = "desk-1"
"""Where the attendant stands, in each hall."""
FLOOR: Final = 600
"""f, what a card without a lease may play on the floor; a hub's C_h is twice that. Both are whole plays here."""
UNKNOWN_CARDS: Final = ("ntag213:04DEADBEEF0001", "ntag213:04DEADBEEF0002")
NAMES: Final = ("racer", "shooter", "dance", "hoops", "crane", "drums")
MACHINE_NAMES: Final = {
    "racer": "极速赛车 Racer", "shooter": "星际射手 Shooter", "dance": "舞力 Dance", "hoops": "投篮 Hoops",
    "crane": "抓娃娃 Crane", "drums": "太鼓 Drums",
}  # fmt: skip


class HallPlan(msgspec.Struct, frozen=True):
    """One hall: what its hub serves. `name` is the hub's name at the office and in file names.

    booths: besides its machines, `places`.
    """

    name: str
    places: tuple[Place, ...]
    devices: DevicesDocument
    booths: tuple[Booth, ...] = ()


class ArcadePlan(msgspec.Struct, frozen=True):
    """The whole arcade."""

    seed: int
    halls: tuple[HallPlan, ...]
    members: tuple[Member, ...]
    ghosts: tuple[Member, ...]
    """Cards that prove themselves and have no money anywhere: what they play, they play on the floor."""
    prices: PriceList
    risk: RiskDocument

    @property
    def places(self) -> tuple[Place, ...]:
        """All machines of all halls."""
        return tuple(place for hall in self.halls for place in hall.places)

    @property
    def booths(self) -> tuple[Booth, ...]:
        """All booths of all halls."""
        return tuple(booth for hall in self.halls for booth in hall.booths)

    @property
    def machine_count(self) -> int:
        """How many game machines there are: those of the places, and of booths whose number follows theirs."""
        return max(place.number for place in (*self.places, *_with_machine(self.booths)))

    def hall_of(self, place: Place) -> HallPlan:
        """Return the hall a machine stands in."""
        return next(hall for hall in self.halls if place in hall.places)


def make_plan(seed: int) -> ArcadePlan:
    """Return the arcade of a seed."""
    dice = random.Random(seed)  # noqa: S311 - a demo's guests, not a secret
    places = [_place(number) for number in range(1, MACHINES + 1)]
    booths = (*device_booths(), *person_booths())
    halls = tuple(
        make_hall(
            zone,
            [place for place in places if place.lane.zone == zone],
            [booth for booth in booths if booth.place.lane.zone == zone],
        )
        for zone in ZONES
    )
    prices = PriceList(
        version=0,
        unit=UNIT,
        rules=(
            PriceRule(price=(Money(PLAY_PRICE, UNIT),)),
            PriceRule(price=(Money(300, UNIT),), zone="stage"),
            PriceRule(price=(Money(100, UNIT),), band="early"),
            *(booth.rule for booth in booths),
        ),
        bands=(Band("early", 8 * 60, 10 * 60),),
    )
    risk = RiskDocument(
        version=0,
        classes=(ClassLimit("C", per_tap=1_000, per_day=20_000), ClassLimit("A", per_tap=5_000)),
        floor_per_credential=FLOOR,
        floor_per_hub=2 * FLOOR,
        step_up_over=STEP_UP_OVER,
        lease_cap=400_000,
        top_up_cap=50_000,
    )
    members = tuple(_member(number, dice) for number in range(1, MEMBERS + 1))
    ghosts = tuple(_ghost(number, dice) for number in range(1, GHOSTS + 1))
    return ArcadePlan(seed, halls, members, ghosts, prices, risk)


def make_hall(name: str, places: Sequence[Place], booths: Sequence[Booth] = ()) -> HallPlan:
    """Return a hall with these machines, each with its own reader, coin line and acceptor, and with these booths."""
    coins = (CoinValue(COIN_POSITION, COIN_VALUE), CoinValue(2, 50))
    devices = DevicesDocument(
        version=0,
        lanes=tuple(place.lane for place in (*places, *(booth.place for booth in booths))),
        coins={place.lane.acceptor: coins for place in places}
        | {booth.place.lane.acceptor: booth.coins for booth in booths if booth.coins},
    )
    return HallPlan(name, tuple(places), devices, tuple(booths))


def _with_machine(booths: Sequence[Booth]) -> list[Place]:
    return [booth.place for booth in booths if booth.has_machine]


def _place(number: int) -> Place:
    name = NAMES[(number - 1) % len(NAMES)]
    lane = Lane(
        id=f"lane-{number:02d}",
        machine=f"{name}-{number:02d}",
        zone=ZONES[name in ("dance", "drums")],
        reader=f"reader-{number:02d}",
        output=f"coin-line-{number:02d}",
        acceptor=f"acceptor-{number:02d}",
        name=f"{MACHINE_NAMES[name]} {number}",
    )
    return Place(number, lane)


def _member(number: int, dice: random.Random) -> Member:
    uid = f"04{number:02X}" + dice.randbytes(5).hex().upper()
    surname = "王李张刘陈杨赵黄周吴徐孙"[number % 12]
    poor = number % 8 == 0
    balance = POOR_BALANCE if poor else 5_000 + 500 * dice.randrange(20)
    if number % 2:
        return Member(f"{surname}**", f"ntag213:{uid}", balance)
    return Member(f"{surname}**", f"ntag424:{uid}:{dice.randbytes(16).hex().upper()}", balance)


def _ghost(number: int, dice: random.Random) -> Member:
    uid = f"04{0xE0 + number:02X}" + dice.randbytes(5).hex().upper()
    return Member("??", f"ntag424:{uid}:{dice.randbytes(16).hex().upper()}", 0)


class HallFolder(msgspec.Struct, frozen=True):
    """Where one hall's hub and bridge keep everything. The first hall's folders are `hub` and `bridge`."""

    root: Path
    name: str

    @property
    def _suffix(self) -> str:
        return "" if self.name == ZONES[0] else f"-{self.name}"

    @property
    def hub(self) -> Path:
        """hub.toml, identity and ledger of the hub."""
        return self.root / f"hub{self._suffix}"

    @property
    def ledger(self) -> Path:
        """The hub's ledger file."""
        return self.hub / "state" / "ledger.sqlite3"

    @property
    def bridge(self) -> Path:
        """bridge.toml and the bridge's logs."""
        return self.root / f"bridge{self._suffix}"


class Folder(msgspec.Struct, frozen=True):
    """Where the demo keeps everything."""

    root: Path

    def hall(self, name: str) -> HallFolder:
        """Return the folders of one hall."""
        return HallFolder(self.root, name)

    @property
    def office(self) -> Path:
        """Keys and books of the office."""
        return self.root / "office"

    @property
    def dev(self) -> Path:
        """Links to the simulated devices' terminals and sockets, and their counters."""
        return self.root / "dev"

    @property
    def logs(self) -> Path:
        """What every process said on stderr."""
        return self.root / "logs"

    def make(self, halls: Sequence[HallPlan]) -> None:
        """Make the folders."""
        own = [place for hall in halls for place in (self.hall(hall.name).hub, self.hall(hall.name).bridge)]
        for folder in (self.root, *own, self.dev, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
