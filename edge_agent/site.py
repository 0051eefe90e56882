"""What the hub knows of its venue: the documents in force, and the devices as they last introduced themselves."""

import hashlib
from typing import Final

import msgspec

from payment_core.bus import Birth, DeviceState
from payment_core.errors import DECODE_FAULTS
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from payment_core.pricing import LocalTime, PriceList

SALES_KEPT: Final = 512
"""One for every lane a bounce can come from, and some."""


class DocumentRefused(msgspec.Struct, frozen=True):
    """A document whose content is not what its name promises; `reason` names the field."""

    reason: str


class Heard(msgspec.Struct, frozen=True):
    """The lowest value event heard of a device that was never booked, and since when (boottime ms)."""

    epoch: int
    seq: int
    since_ms: int


class Site:
    """Configuration and device state, never money. `apply` is the one function that puts a document in force."""

    def __init__(self, *, hub_id: bytes, venue_id: bytes, pepper: bytes, epoch: int) -> None:
        self.hub_id = hub_id
        self.epoch = epoch
        self.venue_id = venue_id
        self.pepper = pepper
        self.risk = RiskDocument(version=0)
        self.prices: PriceList | None = None
        self.price_version: int | None = None
        self.price_hash: bytes | None = None
        self.devices_version: int | None = None
        self.lanes: dict[str, Lane] = {}
        self.lane_of_device: dict[str, Lane] = {}
        self.coins: dict[str, dict[int, int]] = {}
        self.births: dict[str, Birth] = {}
        self.states: dict[str, DeviceState] = {}
        self.unbooked: dict[str, Heard] = {}
        self.office_up = False
        self.prices_shown: dict[str, int] = {}
        self.shown_at: LocalTime | None = None
        self.frozen = ""
        self._waiting: dict[bytes, int] = {}
        self._doubts: dict[bytes, int] = {}
        self.sold_ms: dict[bytes, int] = {}
        self._evidence: set[tuple[bytes, str]] = set()

    def wait_for(self, authorization_id: bytes, until_ms: int) -> None:
        """Remember by when (boottime) a device owes an answer; the newest wait stands last."""
        self.stop_waiting(authorization_id)
        self._waiting[authorization_id] = until_ms

    def ask_again(self, authorization_id: bytes, at_ms: int) -> None:
        """Remember when (boottime) to ask about a doubt again; nobody is waited for meanwhile."""
        self.stop_waiting(authorization_id)
        self._doubts[authorization_id] = at_ms

    def stop_waiting(self, authorization_id: bytes) -> None:
        """The answer is there."""
        self._waiting.pop(authorization_id, None)
        self._doubts.pop(authorization_id, None)

    def overdue(self, boottime_ms: int) -> list[bytes]:
        """Take out whose answer is overdue, and what is to be asked about again."""
        late = []
        for waits in (self._waiting, self._doubts):
            for authorization_id, until_ms in waits.items():
                if until_ms > boottime_ms:
                    break
                late.append(authorization_id)
        for authorization_id in late:
            self.stop_waiting(authorization_id)
        return late

    @property
    def waiting(self) -> int:
        """How many answers devices owe."""
        return len(self._waiting)

    @property
    def currency(self) -> str:
        """The venue's currency, known from its price list."""
        return self.prices.unit if self.prices else ""

    def note_sale(self, authorization_id: bytes, boottime_ms: int) -> None:
        """Remember when a sale was made by the clock that does not jump; the oldest is forgotten."""
        self.sold_ms[authorization_id] = boottime_ms
        if len(self.sold_ms) > SALES_KEPT:
            del self.sold_ms[next(iter(self.sold_ms))]

    def is_news(self, authorization_id: bytes, outcome: str) -> bool:
        """Say whether this evidence is the first of its kind since the start; a device may say it again and again."""
        known = (authorization_id, outcome) in self._evidence
        if len(self._evidence) >= SALES_KEPT:
            self._evidence.clear()
        self._evidence.add((authorization_id, outcome))
        return not known

    def ready(self, device: str) -> bool:
        """Say whether a device has introduced itself and is online, and so is its bridge.

        A connection has one will, and it is the bridge's: after a kill its devices' own states stay as they were.
        """
        birth, state = self.births.get(device), self.states.get(device)
        if birth is None or state is None or state.state != "online":
            return False
        bridge = self.states.get(birth.bridge)
        return bridge is None or bridge.state == "online"

    def apply(self, name: str, content: bytes) -> DocumentRefused | None:
        """Put a document in force, or say why not; an unknown name is kept and ignored."""
        try:
            match name:
                case "devices":
                    self._devices(msgspec.json.decode(content, type=DevicesDocument))
                case "prices":
                    self.prices = msgspec.json.decode(content, type=PriceList)
                    self.price_version = self.prices.version
                    self.price_hash = hashlib.sha256(content).digest()
                case "risk":
                    self.risk = msgspec.json.decode(content, type=RiskDocument)
                case _:
                    pass
        except DECODE_FAULTS as error:
            return DocumentRefused(reason=f"document {name}: {error}")
        return None

    def _devices(self, document: DevicesDocument) -> None:
        self.devices_version = document.version
        self.lanes = {lane.id: lane for lane in document.lanes}
        self.lane_of_device = {}
        for lane in document.lanes:
            for device in (lane.reader, lane.output, lane.acceptor):
                if device:
                    self.lane_of_device[device] = lane
        self.coins = {
            device: {coin.position: coin.amount for coin in coins} for device, coins in document.coins.items()
        }
