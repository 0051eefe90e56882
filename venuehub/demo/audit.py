"""The demo's audit: what machines and acceptors counted, against the hub's journal and the office's books."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from back_office.ledger.hub_ledger import compare_ledger
from back_office.ledger.verify import prove_books
from back_office.settings import database_file
from back_office.store import chains
from back_office.store.engine import open_store, sqlite_url
from edge_agent.ledger.reader import LedgerReader
from firmware_bridge.wire.line_frames import AskFrame, FrameDecoder, StatusFrame, encode_frame
from payment_core.journal import (
    Captured,
    CoinBooked,
    Commanded,
    Declined,
    Entry,
    Expired,
    Held,
    InDoubt,
    Refunded,
    Tender,
    Voided,
    VoucherTaken,
    decode_entry,
)
from venuehub.demo.plan import ArcadePlan, Folder, Place
from venuehub.demo.venue import Arcade


class HubFigures(msgspec.Struct):
    """What the hub's journal says happened; credits are those of commands."""

    approved: int = 0
    declined: Counter[str] = msgspec.field(default_factory=Counter)
    captured: int = 0
    voided: int = 0
    expired: int = 0
    refunded: int = 0
    in_doubt: int = 0
    credits_of_captured: int = 0
    credits_of_coins: int = 0
    credits_in_doubt: int = 0
    coins_booked: int = 0
    passed: int = 0
    entries: int = 0


def read_hubs(ledgers: Iterable[Path]) -> HubFigures:
    """Fold the whole journals of some hubs into one."""
    figures = HubFigures()
    doubts: set[bytes] = set()
    credits: dict[bytes, int] = {}
    for ledger in ledgers:
        reader = LedgerReader(ledger)
        after = 0
        try:
            while records := reader.records(after, 1_000):
                for record in records:
                    _fold(decode_entry(record), figures, credits, doubts)
                after += len(records)
        finally:
            reader.close()
        figures.entries += after
    figures.in_doubt = len(doubts)
    figures.credits_in_doubt = sum(credits[authorization_id] for authorization_id in doubts)
    return figures


def _fold(entry: Entry, figures: HubFigures, credits: dict[bytes, int], doubts: set[bytes]) -> None:
    authorization_id = entry.header.authorization_id or b""
    match entry:
        case Held():
            figures.approved += entry.header.tender is Tender.PURSE
        case Declined():
            figures.declined[entry.reason] += 1
        case Commanded():
            credits[authorization_id] = entry.credits
        case CoinBooked():
            figures.coins_booked += 1
        case VoucherTaken():
            figures.passed += 1
        case _:
            _fold_end(entry, authorization_id, figures, credits, doubts)


def _fold_end(
    entry: Entry, authorization_id: bytes, figures: HubFigures, credits: dict[bytes, int], doubts: set[bytes]
) -> None:
    guest = entry.header.tender is Tender.PURSE
    match entry:
        case Captured():
            doubts.discard(authorization_id)
            figures.captured += guest
            delivered = delivered_credits(entry, credits[authorization_id])
            if guest:
                figures.credits_of_captured += delivered
            else:
                figures.credits_of_coins += delivered
        case Voided():
            doubts.discard(authorization_id)
            figures.voided += 1
        case Expired():
            figures.expired += 1
        case InDoubt():
            doubts.add(authorization_id)
        case Refunded():
            figures.refunded += 1
        case _:
            pass


def delivered_credits(entry: Captured, credits: int) -> int:
    """Return the credits behind a capture: all, or the share that was not released."""
    kept = sum(part.amount for part in entry.parts)
    back = sum(part.amount for part in entry.released)
    return credits * kept // (kept + back)


class OutsideFigures(msgspec.Struct):
    """What the devices counted by themselves; fallen: inserted and kept, or given back."""

    credits_seen: int
    coins_inserted: int
    coins_fallen: int


async def read_devices(plan: ArcadePlan, folder: Folder) -> OutsideFigures:
    """Ask every simulated machine and read every acceptor's own counters."""
    machines = [await _ask_machine(folder.dev / f"{place.machine_sim}.sock") for place in plan.places]
    coins = given_back = 0
    for place in plan.places:
        counters = msgspec.json.decode(
            (folder.dev / f"{place.lane.acceptor}.json").read_bytes(), type=dict[str, object]
        )
        coins += int(str(counters["coins_inserted"]))
        given_back += int(str(counters["coins_given_back"]))
    return OutsideFigures(
        credits_seen=sum(int(status["credits_seen"]) for status in machines),
        coins_inserted=coins,
        coins_fallen=coins + given_back,
    )


async def read_machine(folder: Folder, place: Place) -> int:
    """Return the credits a machine has counted by itself."""
    return int((await _ask_machine(folder.dev / f"{place.machine_sim}.sock"))["credits_seen"])


async def _ask_machine(socket: Path) -> dict[str, int]:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    decoder = FrameDecoder()
    try:
        writer.write(encode_frame(AskFrame("status")))
        while data := await reader.read(4_096):
            for frame in decoder.feed(data):
                if isinstance(frame, StatusFrame):
                    return frame.status
    finally:
        writer.close()
    message = f"{socket}: the machine hung up"
    raise ConnectionError(message)


class BooksFigures(msgspec.Struct):
    """What the office's books prove about themselves and about the hubs; `booked`: the hubs' entries they have."""

    balanced: bool
    entries: int
    booked: int
    gaps: int
    duplicates: int
    office_equals_hubs: bool
    faults: list[str]


def read_books(arcade: Arcade, folder: Folder) -> BooksFigures:
    """Prove the books, and compare each hub's journal with them record by record, to its last entry."""
    tenant_id, same = arcade.tenant_id, True
    hubs = {hall.hub_id for hall in arcade.halls}
    store = open_store(sqlite_url(database_file(folder.office)))
    try:
        with store.reading() as tx:
            proof = prove_books(tx, tenant_id)
            for hall in arcade.halls:
                compare_ledger(tx, tenant_id, folder.hall(hall.name).ledger, proof)
                same = same and bool(proof.office_equals_hubs)
            booked = sum(chain.rec_seq for chain in chains.chains(tx, tenant_id) if chain.hub_id in hubs)
    finally:
        store.close()
    return BooksFigures(
        balanced=proof.balanced,
        entries=proof.entries,
        booked=booked,
        gaps=proof.gaps,
        duplicates=proof.duplicates,
        office_equals_hubs=same,
        faults=proof.faults,
    )
