"""The demo's booths, one for each device that gives or takes something: hopper, vending machine, notes, tickets, claw.

Booths for a person's finger, face or phone are in persons.py.
"""

import msgspec

from payment_core.money import Money
from payment_core.policy import CoinValue, Lane
from payment_core.pricing import PriceRule
from venuehub.demo.places import UNIT, Booth, BoothDevice, BoothKind, Member, Place

ZONE = "hall"
BALANCE = 10_000
NOTE_CHANNEL = 2
NOTE_VALUE = 500
VEND_ITEM = 1
VEND_MOST = 400
VEND_PRICE = 100
"""What the simulated machine asks for that item."""


def booth_of(  # noqa: PLR0913 - a booth is that much
    kind: BoothKind,
    number: int,
    name: str,
    device: BoothDevice,
    lane: dict[str, object],
    *,
    price: int,
    credits: int = 1,
    asks: bool = False,
    coins: tuple[CoinValue, ...] = (),
    devices: tuple[BoothDevice, ...] = (),
) -> Booth:
    """Return a booth whose lane has a reader, a game machine's coin line as its output, and what `lane` says instead.

    price: minor units, for so many credits. devices: others than `device`.
    """
    machine = f"{kind.replace('_', '-')}-{number:02d}"
    own = Lane(
        id=f"lane-{number:02d}", machine=machine, zone=ZONE, reader=f"reader-{number:02d}",
        output=f"coin-line-{number:02d}", name=name,
    )  # fmt: skip
    rule = PriceRule(price=(Money(price, UNIT),), machine=machine, credits=credits, asks=asks)
    uid, key = f"04B0{number:02X}5A5A5A5A", f"{number:02X}" * 16
    guest = Member(f"{'钱冯陈褚卫蒋沈韩'[number % 8]}**", f"ntag424:{uid}:{key}", BALANCE)
    place = Place(number, msgspec.structs.replace(own, **lane))
    return Booth(kind, place, device, guest, rule, (device, *devices), coins)


def device_booths() -> tuple[Booth, ...]:
    """Return the booths of devices that give or take something."""
    claw = BoothDevice("prize-13", "prize-sensor", on_lines=True)
    note = BoothDevice("notes-14", "itl-nv9-ssp")
    hopper = BoothDevice("hopper-18", "cctalk-hopper-serial")
    vending = BoothDevice("vending-19", "qibixx-vending")
    tickets = BoothDevice("tickets-20", "ticket-dl1275", on_lines=True)
    values = (CoinValue(NOTE_CHANNEL, NOTE_VALUE),)
    return (
        booth_of("claw", 13, "抓娃娃机 Claw", claw, {"sensors": (claw.id,)}, price=200),
        booth_of("note", 14, "纸币机 Notes", note, {"acceptor": note.id}, price=NOTE_VALUE, coins=values),
        booth_of("hopper", 18, "出币机 Tokens", hopper, {"output": hopper.id}, price=300, credits=3),
        booth_of("vending", 19, "售货机 Vending", vending, {"output": vending.id}, price=VEND_MOST, asks=True),
        booth_of("tickets", 20, "出票机 Tickets", tickets, {"output": tickets.id}, price=200, credits=4),
    )
