"""What goes into the till and what comes out: facts from devices and office in, effects out after the commit."""

import msgspec

from cloud_sync.protocol.messages import HeardOf
from edge_agent.peer_messages import PeerFact, ToPeer
from edge_agent.slip_messages import SlipShown
from edge_agent.staff_messages import StaffEffect, StaffFact
from payment_core.bus import Birth, Booked, DeviceState, View
from payment_core.commands import Command, Result
from payment_core.credential import ListRow
from payment_core.events import Event
from payment_core.journal import Lot, TimeQuality
from payment_core.pricing import LocalTime


class Moment(msgspec.Struct, frozen=True):
    """One reading of all clocks. wall_ms: UTC; boottime_ms: since boot `boot_id`; business_date: yyyymmdd."""

    wall_ms: int
    boot_id: bytes
    boottime_ms: int
    quality: TimeQuality
    business_date: int
    local: LocalTime | None


class FromDevice(msgspec.Struct, frozen=True):
    """A device event, and when the hub received it (boottime ms)."""

    device: str
    event: Event
    received_ms: int


class Born(msgspec.Struct, frozen=True):
    """A device's birth message."""

    device: str
    birth: Birth


class DeviceIs(msgspec.Struct, frozen=True):
    """A device's state message."""

    device: str
    state: DeviceState


class Answered(msgspec.Struct, frozen=True):
    """A bridge's result for a command."""

    device: str
    result: Result


class LeaseArrived(msgspec.Struct, frozen=True):
    """A grant, verified: `granted` is the total of this lease and lot."""

    account_id: bytes
    unit: str
    epoch: int
    granted: int
    lot: Lot | None = None


class FoundElsewhere(msgspec.Struct, frozen=True):
    """The office answered: this account's money lies at other hubs. `coming`: one that it hears was asked for it."""

    account_id: bytes
    coming: bool


class ListArrived(msgspec.Struct, frozen=True):
    """The office's list, verified. `full` replaces all rows; else `base_version` must be the one held."""

    version: int
    full: bool
    base_version: int
    rows: tuple[ListRow, ...]


class DocumentArrived(msgspec.Struct, frozen=True):
    """A document (`devices`, `prices`, `risk`, …), verified: JSON bytes under a rising version.

    effective_at_ms: from when on it counts (UTC ms); 0: at once.
    """

    name: str
    version: int
    content: bytes
    effective_at_ms: int = 0


class BatchSealed(msgspec.Struct, frozen=True):
    """The uploader sealed a batch: store its bytes before the first publish."""

    batch_seq: int
    first_rec: int
    rec_count: int
    hash: bytes
    sealed: bytes


class ReceiptTaken(msgspec.Struct, frozen=True):
    """A signed receipt whose hash is our own covers all batches up to `batch_seq`, that is all entries up to `seq`.

    `heard`: how far the office has heard the neighbours. `office_ms`: the office's clock (UTC ms), 0: it said none.
    """

    batch_seq: int
    seq: int
    heard: tuple[HeardOf, ...] = ()
    office_ms: int = 0


class Frozen(msgspec.Struct, frozen=True):
    """The office (or the uploader) found that this journal is not the one it knows: no more trading."""

    reason: str


class Reopened(msgspec.Struct, frozen=True):
    """The office's operator lifted the freeze of epoch `epoch` that has this reason; signed, and not a replay."""

    epoch: int
    reason: str


class OfficeLink(msgspec.Struct, frozen=True):
    """The office was heard, or the link is down: for what pages say and who is waited for, never for a decision."""

    up: bool


class Recalled(msgspec.Struct, frozen=True):
    """The office wants an account's money back that lies idle here: somebody stands at another hub with it."""

    account_id: bytes


class CloseOrdered(msgspec.Struct, frozen=True):
    """The office, or somebody at the hub, ends epoch `epoch`: return everything, then sign that nothing is left."""

    epoch: int
    why: str
    staff: str = ""


OfficeFact = (
    LeaseArrived | FoundElsewhere | ListArrived | DocumentArrived | BatchSealed | ReceiptTaken | OfficeLink | Frozen |
    Reopened | Recalled | CloseOrdered
)  # fmt: skip
Input = FromDevice | Born | DeviceIs | Answered | OfficeFact | PeerFact | StaffFact | SlipShown


class Send(msgspec.Struct, frozen=True):
    """Publish a command to a device."""

    device: str
    command: Command


class Show(msgspec.Struct, frozen=True):
    """Publish what a lane shows."""

    lane: str
    view: View


class SayBooked(msgspec.Struct, frozen=True):
    """Tell a bridge that its value events are booked."""

    device: str
    booked: Booked


class AskLease(msgspec.Struct, frozen=True):
    """Ask the office for this account's money."""

    account_id: bytes


class AskFullList(msgspec.Struct, frozen=True):
    """A differential list did not fit the version held."""

    version: int


class JournalGrew(msgspec.Struct, frozen=True):
    """There are entries up to `seq` for the uploader."""

    seq: int


class BatchStored(msgspec.Struct, frozen=True):
    """A sealed batch is on the disk and may be published."""

    batch_seq: int


class Log(msgspec.Struct, frozen=True):
    """An event worth a line: a name and fields, never a raw id or key."""

    name: str
    fields: dict[str, str | int]


Effect = Send | Show | SayBooked | AskLease | AskFullList | JournalGrew | BatchStored | ToPeer | StaffEffect | Log
