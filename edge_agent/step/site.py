"""What the hub knows of its venue: the documents in force, and the devices as they last introduced themselves."""

import hashlib
from typing import Final

import msgspec

from cloud_sync.protocol.messages import Trust
from edge_agent.ledger.since_receipt import Spent
from edge_agent.step.day_count import DayCount
from edge_agent.step.list_age import ListAge
from edge_agent.step.quotes import Quote, ShownPrices, Tariff
from edge_agent.step.step_up import StepUps
from edge_agent.step.vend_table import VendTable
from payment_core.bus import Birth, DeviceState
from payment_core.errors import DECODE_FAULTS
from payment_core.hub_epoch import EpochState
from payment_core.identifiers import uuid_text
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from payment_core.price_calendar import NO_CALENDAR, Calendar
from payment_core.pricing import LocalTime, PriceList
from payment_core.records import ListStamp
from payment_core.staff_policy import Desk, StaffDocument

_OPEN, _CLOSED = EpochState.OPEN, EpochState.CLOSED  # an enum's own attribute is slow, and each step asks
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


class Sold(msgspec.Struct, frozen=True):
    """A sale of this run: to which credential, and when by the clock that does not jump (boottime ms)."""

    credential_id: bytes
    at_ms: int


class Player(msgspec.Struct, frozen=True):
    """Who played last at a lane, and when (boottime ms)."""

    account_id: bytes
    at_ms: int


class Site:
    """Configuration and device state, never money. `apply` is the one function that puts a document in force."""

    def __init__(  # noqa: PLR0915 - one line for each thing that is known
        self, *, hub_id: bytes, venue_id: bytes, pepper: bytes, epoch: int
    ) -> None:
        self.hub_id = hub_id
        self.epoch = epoch
        self.venue_id = venue_id
        self._venue = uuid_text(venue_id)
        self.pepper = pepper
        self.risk = RiskDocument(version=0)
        self.known_ms = 0
        """Wall time when the clock was last to be trusted: what lies before it has certainly been."""
        self.next_switch_ms: int | None = None
        """When the next document comes into force that waits for its moment (UTC ms)."""
        self.tariff: Tariff | None = None
        self.calendar: Calendar = NO_CALENDAR
        self.devices_version: int | None = None
        self.lanes: dict[str, Lane] = {}
        self.lane_of_device: dict[str, Lane] = {}
        self.coins: dict[str, dict[int, int]] = {}
        self.births: dict[str, Birth] = {}
        self.states: dict[str, DeviceState] = {}
        self.unbooked: dict[str, Heard] = {}
        self.office_up = False
        self.shown = ShownPrices()
        self.list_age = ListAge()
        self.day_count = DayCount()
        self.step_ups = StepUps()
        self.vending = VendTable()
        self.lanes_of_step_up: dict[str, tuple[Lane, ...]] = {}
        """Lanes by the reader where their second factors are shown, where that is another than their own."""
        self._staff_cards: tuple[StaffDocument, frozenset[bytes]] | None = None
        self.shown_at: LocalTime | None = None
        self.freeze_reason = ""
        """Why the office or the uploader stopped this hub, or empty."""
        self.epoch_state = EpochState.OPEN
        self.peers: dict[bytes, str] = {}
        self.office_keys: tuple[bytes, ...] = ()
        """The office's keys of the newest trust document: they sign paid slips."""
        self.lan_up = False
        self.most_outstanding: int | None = None
        """What is at stake of the currency here, at most; None: not looked at yet (edge_agent.takings.lease_keeper)."""
        self.spent_unheard: Spent | None = None
        """What left the leases here since the last receipt; None: not looked at yet."""
        self.sheds = False
        """Whether leases above X_h are on their way home, a slice in each step."""
        self._waiting: dict[bytes, int] = {}
        self._doubts: dict[bytes, int] = {}
        self.sold: dict[bytes, Sold] = {}
        self.may_have_news = True
        """Whether a guest may have to be told of money put back; False: certainly nobody, no need to look."""
        self.staff = StaffDocument(version=0)
        self.staff_told = self.staff
        self.desk_of_reader: dict[str, Desk] = {}
        self.last_player: dict[str, Player] = {}
        self.depositors: dict[str, Player] = {}
        """Whose card was shown last where coins and notes go to an account."""
        self.told_back: dict[str, str] = {}
        """Commands that put a device back in service and were not answered yet, and the device of each."""
        self.doubt_due: dict[bytes, int] = {}
        """Doubts, and when (boottime) policy looks at each; staff's own are not in it any more."""
        self.cannot_tell: set[bytes] = set()
        """Open authorizations whose device was asked and said it does not know."""

    def wait_for(self, authorization_id: bytes, until_ms: int) -> None:
        """Remember by when (boottime) a device owes an answer."""
        self.stop_waiting(authorization_id)
        self._waiting[authorization_id] = until_ms

    def answer_ms(self, device: str) -> int:
        """Return how long a device's answer is waited for: a machine may make coffee for two minutes."""
        birth = self.births.get(device)
        return max(self.risk.answer_ms, birth.answer_ms if birth else 0)

    def wait_on(self, authorization_id: bytes, device: str, now_ms: int, *, asked_again_ms: int) -> None:
        """A device is still at it: nobody decides before it was asked again."""
        if authorization_id in self._waiting:
            self.wait_for(authorization_id, now_ms + self.answer_ms(device))
        if authorization_id in self.doubt_due:
            self.doubt_due[authorization_id] = now_ms + asked_again_ms + max(self.risk.doubt_after_ms, asked_again_ms)

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
        late = [one for one, until_ms in self._waiting.items() if until_ms <= boottime_ms]
        for authorization_id, until_ms in self._doubts.items():
            if until_ms > boottime_ms:
                break
            late.append(authorization_id)
        for authorization_id in late:
            self.stop_waiting(authorization_id)
        return late

    @property
    def closed(self) -> bool:
        """Say whether this epoch has its last record: nothing may be written behind it."""
        return self.epoch_state is _CLOSED

    @property
    def frozen(self) -> str:
        """Why this hub may not trade, or empty: it was stopped, or its epoch is closing or closed."""
        return self.freeze_reason or ("" if self.epoch_state is _OPEN else self.epoch_state.value)

    @property
    def waiting(self) -> int:
        """How many answers devices owe."""
        return len(self._waiting)

    @property
    def prices(self) -> PriceList | None:
        """The price list in force."""
        return self.tariff.prices if self.tariff else None

    @property
    def stamp(self) -> ListStamp | None:
        """Which price list is in force."""
        return self.tariff.stamp if self.tariff else None

    @property
    def price_version(self) -> int | None:
        """The version of the price list in force."""
        return self.tariff.stamp.version if self.tariff else None

    @property
    def currency(self) -> str:
        """The venue's currency, known from its price list."""
        return self.tariff.prices.unit if self.tariff else ""

    def quote(self, lane: Lane, local: LocalTime | None, *, tier: str = "", group: str = "") -> Quote | None:
        """Return what a play at a lane costs a guest of this tier and group by the list in force, or None."""
        if self.tariff is None:
            return None
        return self.tariff.quote(lane, local, calendar=self.calendar, venue=self._venue, tier=tier, group=group)

    def quote_to_pay(
        self, lane: Lane, local: LocalTime | None, *, boottime_ms: int, tier: str = "", group: str = ""
    ) -> Quote | None:
        """Return what a tap pays now: never more than its page showed within the last 30 s.

        Where the machine names the price, no page had shown it.
        """
        quote = self.quote(lane, local, tier=tier, group=group)
        return quote if quote is not None and quote.price.asks else self.shown.best(lane.id, quote, boottime_ms)

    @property
    def staff_cards(self) -> frozenset[bytes]:
        """The credential ids of the staff."""
        if self._staff_cards is None or self._staff_cards[0] is not self.staff:
            ids = frozenset(bytes.fromhex(card) for person in self.staff.people for card in person.credentials)
            self._staff_cards = (self.staff, ids)
        return self._staff_cards[1]

    def note_sale(self, authorization_id: bytes, sold: Sold) -> None:
        """Remember when a sale was made by the clock that does not jump; the oldest is forgotten."""
        self.sold[authorization_id] = sold
        if len(self.sold) > SALES_KEPT:
            del self.sold[next(iter(self.sold))]

    def settled(self, authorization_id: bytes) -> None:
        """Forget an authorization that ended."""
        self.stop_waiting(authorization_id)
        self.doubt_due.pop(authorization_id, None)
        self.cannot_tell.discard(authorization_id)

    def ready(self, device: str) -> bool:
        """Say whether a device has introduced itself and is online, and so is its bridge.

        A connection has one will, and it is the bridge's: after a kill its devices' own states stay as they were.
        """
        state = self.states.get(device)
        return state is not None and state.state == "online" and self.is_reachable(device)

    def is_reachable(self, device: str) -> bool:
        """Say whether a device can be told anything, also while a fault keeps it from serving."""
        birth, state = self.births.get(device), self.states.get(device)
        if birth is None or state is None or state.state not in ("online", "fault"):
            return False
        bridge = self.states.get(birth.bridge)
        return bridge is None or bridge.state == "online"

    def apply(self, name: str, content: bytes) -> DocumentRefused | None:
        """Put a document in force, or say why not; an unknown name is kept and ignored."""
        document = read_document(name, content)
        match document:
            case DocumentRefused():
                return document
            case DevicesDocument():
                self._devices(document)
            case PriceList():
                self.tariff = Tariff(document, ListStamp(document.version, hashlib.sha256(content).digest()))
            case RiskDocument():
                self.risk = document
            case Calendar():
                self.calendar = document
            case Trust():
                self.office_keys = document.sign_keys
                self.peers = {peer.hub_id: peer.name for peer in document.peers if peer.hub_id != self.hub_id}
            case StaffDocument():
                self.staff = document
                self.desk_of_reader = {desk.reader: desk for desk in document.desks if desk.reader}
            case None:
                pass
        return None

    def _devices(self, document: DevicesDocument) -> None:
        self.devices_version = document.version
        self.shown.forget()
        self.lanes = {lane.id: lane for lane in document.lanes}
        self.lane_of_device = {}
        self.lanes_of_step_up = {}
        for lane in document.lanes:
            if lane.step_up_reader not in ("", lane.reader):
                known = self.lanes_of_step_up.get(lane.step_up_reader, ())
                self.lanes_of_step_up[lane.step_up_reader] = (*known, lane)
            for device in (lane.reader, lane.output, lane.acceptor, lane.scanner, *lane.sensors):
                if device:
                    self.lane_of_device[device] = lane
        self.coins = {
            device: {coin.position: coin.amount for coin in coins} for device, coins in document.coins.items()
        }


Read = DevicesDocument | PriceList | RiskDocument | Calendar | StaffDocument | Trust
_SHAPES: Final[dict[str, type[Read]]] = {
    "devices": DevicesDocument,
    "prices": PriceList,
    "risk": RiskDocument,
    "calendar": Calendar,
    "staff": StaffDocument,
    "trust": Trust,
}


def read_document(name: str, content: bytes) -> Read | DocumentRefused | None:
    """Return a document's content, None for a name that this hub does not know, or why it cannot be read."""
    shape = _SHAPES.get(name)
    if shape is None:
        return None
    try:
        return msgspec.json.decode(content, type=shape)
    except DECODE_FAULTS as error:
        return DocumentRefused(reason=f"document {name}: {error}")
