"""The demo's audit: what machines and acceptors counted, against the hub's journal and the office's books."""

import asyncio
from collections.abc import Mapping

import msgspec

from back_office.ledger.hub_ledger import compare_ledger
from back_office.ledger.verify import prove_books
from back_office.settings import database_file
from back_office.store import chains
from back_office.store.engine import open_store, sqlite_url
from firmware_bridge.wire.line_frames import AskFrame, FrameDecoder, StatusFrame, encode_frame
from venuehub.demo.places import Place
from venuehub.demo.plan import ArcadePlan, Folder
from venuehub.demo.venue import Arcade


class OutsideFigures(msgspec.Struct):
    """What the devices counted by themselves; fallen: inserted and kept, or given back. `by_output`: credits seen."""

    by_output: dict[str, int]
    coins_inserted: int
    coins_fallen: int

    @property
    def credits_seen(self) -> int:
        """What all machines counted."""
        return sum(self.by_output.values())


async def read_devices(plan: ArcadePlan, folder: Folder) -> OutsideFigures:
    """Ask every simulated machine and read every acceptor's own counters."""
    machines = [*plan.places, *(booth.place for booth in plan.booths if booth.has_machine)]
    seen = {place.lane.output: await read_machine(folder, place) for place in machines}
    coins = given_back = 0
    for place in plan.places:
        counters = read_counters(folder, place.lane.acceptor)
        coins += int(str(counters["coins_inserted"]))
        given_back += int(str(counters["coins_given_back"]))
    return OutsideFigures(by_output=seen, coins_inserted=coins, coins_fallen=coins + given_back)


async def read_machine(folder: Folder, place: Place) -> int:
    """Return the credits a machine has counted by itself."""
    return int(str((await ask_lines(folder, place.machine_sim))["credits_seen"]))


def read_counters(folder: Folder, device: str) -> dict[str, object]:
    """Return what a serial device has counted by itself."""
    return msgspec.json.decode((folder.dev / f"{device}.json").read_bytes(), type=dict[str, object])


async def ask_lines(folder: Folder, name: str) -> Mapping[str, object]:
    """Return what a device on lines has counted by itself."""
    socket = folder.dev / f"{name}.sock"
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
    message = f"{socket}: it hung up"
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
