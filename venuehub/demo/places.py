"""Where guests stand in the demo: at a machine with its reader, or at a booth with another device. Plain data."""

from typing import Final, Literal, get_args

import msgspec

from payment_core.policy import CoinValue, Lane
from payment_core.pricing import PriceRule

UNIT: Final = "CNY"
POOR_BALANCE: Final = 300

BoothKind = Literal["finger", "face", "member_code", "hopper", "vending", "note", "tickets", "claw"]
BOOTH_KINDS: Final[tuple[BoothKind, ...]] = get_args(BoothKind)
COIN_LINE: Final = "arcade-coin-line"
READER: Final = "pn532-uart"


class Member(msgspec.Struct, frozen=True):
    """A guest with a card. `card` as devices and office write it; `balance` minor units; poor ones run out."""

    name: str
    card: str
    balance: int

    @property
    def runs_out(self) -> bool:
        """Say whether nobody tops this one up: somebody has to be short of money."""
        return self.balance <= POOR_BALANCE


class Place(msgspec.Struct, frozen=True):
    """Everything at one machine: its number, lane and device ids."""

    number: int
    lane: Lane

    @property
    def machine_sim(self) -> str:
        """The simulated machine's name in its process."""
        return f"machine-{self.number:02d}"


class BoothDevice(msgspec.Struct, frozen=True):
    """A device at a booth. on_lines: its simulator listens on a line socket and not on a terminal."""

    id: str
    profile: str
    on_lines: bool = False


class Booth(msgspec.Struct, frozen=True):
    """One kind of device in use: a lane with a card reader, an output, and `devices`, which are all others of its own.

    It shows what `device` can. Where `place.lane.output` is none of `devices`, it is a game machine's coin line.
    guest: who comes here, and nobody else. rule: what it costs; it names the machine. coins: values of the acceptor's
    positions, where it has one.
    """

    kind: BoothKind
    place: Place
    device: BoothDevice
    guest: Member
    rule: PriceRule
    devices: tuple[BoothDevice, ...]
    coins: tuple[CoinValue, ...] = ()

    @property
    def has_machine(self) -> bool:
        """Say whether its output is a game machine's coin line."""
        return self.place.lane.output not in {device.id for device in self.devices}

    @property
    def device_ids(self) -> frozenset[str]:
        """The ids of everything that has to be online before somebody can come."""
        return frozenset((self.place.lane.reader, self.place.lane.output, *(device.id for device in self.devices)))
