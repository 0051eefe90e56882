"""Makes the vectors of ehb1 and esm1 that are not there yet, from fixed test keys; a released vector is kept.

    python tests/vectors/make_post_vectors.py

HPKE draws its own randomness, so a sealed vector cannot be made twice: it is a vector for opening.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cloud_sync.compression import pack
from cloud_sync.letters import post_message
from cloud_sync.protocol import batcher, peers
from cloud_sync.protocol import messages as esm1
from cloud_sync.protocol.envelope import NO_BATCH, Header, batch_hash
from cloud_sync.sealing import HpkeSealer, receive_public, seal_batch
from cloud_sync.signing import Ed25519Signer
from payment_core import journal as j
from payment_core.credential import ListRow

FOLDER = Path(__file__).resolve().parent
HUB = bytes.fromhex("019399a0c0de70008000000000000001")
TENANT = bytes.fromhex("019399a0c0de70008000000000000002")
ACCOUNT = bytes.fromhex("019399a0c0de70008000000000000003")
AUTHORIZATION = bytes.fromhex("019399a0c0de70008000000000000004")
VENUE = bytes.fromhex("019399a0c0de70008000000000000005")
CREDENTIAL = bytes(range(16))
BOOT = bytes.fromhex("019399a0c0de70008000000000000006")
HUB_SEED = bytes(range(32))
OFFICE_SEED = bytes(range(32, 64))
OFFICE_PRIVATE = bytes(range(64, 96))
OFFICE_HYBRID = bytes(range(96))
HUB_PRIVATE = bytes(range(96, 128))
WALL_MS = 1_795_300_000_000


def header(seq: int, *, authorization: bytes | None = AUTHORIZATION) -> j.Header:
    """A header with every field filled."""
    return j.Header(
        seq, WALL_MS + seq, BOOT, 60_000 + seq, j.TimeQuality.SYNCED, 20261122, j.Actor.GUEST, j.Tender.PURSE, VENUE,
        "hall", "racer-2", "lane-2", authorization, 7, bytes(range(8)), "vat6", "ppppppp", 3, "late",
    )  # fmt: skip


def entries() -> list[j.HubEntry]:
    """One entry of every type a hub writes, in an order the journal allows."""
    parts = (j.Part("bonus", 50, 1), j.Part("CNY", 150, 1))
    return [
        j.EpochOpened(1, header(1, authorization=None), 1),
        j.LeaseTaken(1, header(2, authorization=None), ACCOUNT, "CNY", 1, 1000, 1000),
        j.Held(1, header(3), parts, ACCOUNT, CREDENTIAL, "A", "reader-2", 1, 17, 30_000),
        j.Commanded(1, header(4), "coin-2", 9, 1),
        j.Captured(1, header(5), parts, ACCOUNT, j.Cause.DEVICE),
        j.Refunded(1, header(6), (j.Part("CNY", 50, 1),), ACCOUNT, j.Cause.STAFF),
        j.Voided(1, header(7), parts, ACCOUNT, j.Cause.READ_BACK, from_doubt=True),
        j.Expired(1, header(8), parts, ACCOUNT),
        j.InDoubt(1, header(9), parts, ACCOUNT, j.Cause.RECOVERY),
        j.Declined(1, header(10), "not_enough", CREDENTIAL, ACCOUNT, "C", "reader-2", 1, 18, (j.Part("CNY", 200),)),
        j.CoinBooked(1, header(11), "acceptor-1", 1, 5, 7, 5, "CNY", 100),
        j.Tampered(1, header(12), "acceptor-1", 1, 6, 2),
        j.LateEvidence(1, header(13), "VOIDED", "done", "coin-2"),
    ]


def ehb1() -> dict[str, object]:
    """Three consecutive batches of one journal, one per suite."""
    signer = Ed25519Signer(HUB_SEED)
    records = [j.encode_entry(entry) for entry in entries()]
    previous, tail, first, batches = NO_BATCH, j.CHAIN_START, 1, []
    for number, (suite, count) in enumerate(((1, 5), (2, 5), (3, 3)), start=1):
        private = OFFICE_HYBRID if suite == 3 else OFFICE_PRIVATE
        rows = records[first - 1 : first - 1 + count]
        sealer = HpkeSealer(receive_public(private), suite=suite)
        before, tail = tail, batcher.chain_tail(tail, rows)
        head = Header(
            hub_id=HUB, epoch=1, batch_seq=number, first_record=first, record_count=count,
            created_ms=WALL_MS + 100 * number, time_quality=j.TimeQuality.SYNCED, recipient_key=sealer.key_id,
            signer_key=signer.key_id,
            previous_batch_hash=previous, journal_tail_hash=tail, suite=suite,
        )  # fmt: skip
        data = seal_batch(head, batcher.build_body(rows), sealer=sealer, signer=signer)
        previous = batch_hash(data)
        batches.append(
            {"suite": suite, "batch_seq": number, "first_record": first, "previous_tail": before.hex(),
             "tail": tail.hex(), "hash": previous.hex(), "records": [row.hex() for row in rows], "batch": data.hex()}
        )  # fmt: skip
        first += count
    return {
        "note": "Three consecutive batches of one journal, one per suite, every entry type of version 1. Test keys.",
        "hub_id": HUB.hex(),
        "hub_sign_seed": HUB_SEED.hex(),
        "office_private": {"1": OFFICE_PRIVATE.hex(), "2": OFFICE_PRIVATE.hex(), "3": OFFICE_HYBRID.hex()},
        "batches": batches,
    }


def compressed() -> dict[str, object]:
    """Two consecutive batches, the first compressed, the second as to an office that does not say it opens such."""
    signer, sealer = Ed25519Signer(HUB_SEED), HpkeSealer(receive_public(OFFICE_PRIVATE))
    plays = [j.Commanded(1, header(seq), f"coin-{seq % 4}", seq, 1) for seq in range(2, 14)]
    records = [j.encode_entry(entry) for entry in (j.EpochOpened(1, header(1, authorization=None), 1), *plays)]
    previous, tail, first, batches = NO_BATCH, j.CHAIN_START, 1, []
    for number, count in ((1, 12), (2, 1)):
        rows = records[first - 1 : first - 1 + count]
        before, tail = tail, batcher.chain_tail(tail, rows)
        body = batcher.build_body(rows)
        packed = pack(body) if number == 1 else None
        head = Header(
            hub_id=HUB, epoch=1, batch_seq=number, first_record=first, record_count=count,
            created_ms=WALL_MS + 100 * number, time_quality=j.TimeQuality.SYNCED, recipient_key=sealer.key_id,
            signer_key=signer.key_id,
            previous_batch_hash=previous, journal_tail_hash=tail, compressed=packed is not None,
        )  # fmt: skip
        data = seal_batch(head, packed or body, sealer=sealer, signer=signer)
        previous = batch_hash(data)
        batches.append(
            {"compressed": packed is not None, "batch_seq": number, "first_record": first,
             "previous_tail": before.hex(), "tail": tail.hex(), "hash": previous.hex(),
             "records": [row.hex() for row in rows], "batch": data.hex()}
        )  # fmt: skip
        first += count
    return {
        "note": "Two consecutive batches of one journal, suite 1, the first with bit 0 of its flags. Test keys.",
        "hub_id": HUB.hex(),
        "hub_sign_seed": HUB_SEED.hex(),
        "office_private": OFFICE_PRIVATE.hex(),
        "batches": batches,
    }


def bodies() -> list[tuple[bool, int, esm1.Body]]:
    """(from the hub, number, body) of one message of every kind."""
    content = b'{"currency":"CNY"}'
    row = ListRow(
        CREDENTIAL, ACCOUNT, "A", "active", 4, "gold", "adult", "W**", "zh-Hans", 500, 2000, None, bytes(16), 1
    )  # fmt: skip
    versions = (esm1.DocumentVersion("prices", 7), esm1.DocumentVersion("list", 4))
    return [
        (True, WALL_MS, esm1.Hello(1, 3, bytes([7]) * 32, 2, BOOT, bytes(range(16)), versions, "", 12, 900)),
        (False, 3, esm1.Receipt(1, 3, bytes([7]) * 32, WALL_MS + 5, bytes(range(16)))),
        (False, 11, esm1.Lease((esm1.Grant(ACCOUNT, "CNY", 1, 1000), esm1.Grant(ACCOUNT, "bonus", 1, 50)))),
        (True, WALL_MS + 1, esm1.LeaseRequest(ACCOUNT, "CNY", 200)),
        (True, WALL_MS + 2, esm1.ListRequest(3)),
        (False, 0, esm1.ResendRequest(1, 2)),
        (False, 0, esm1.HelloRequest()),
        (False, 4, esm1.CredentialList(4, True, 0, (row,))),
        (False, 7, esm1.Document("prices", 7, hashlib.sha256(content).digest(), content, WALL_MS)),
        (False, 2, esm1.Trust(2, (Ed25519Signer(OFFICE_SEED).public,), receive_public(OFFICE_PRIVATE))),
    ]


def later_bodies() -> list[tuple[bool, int, esm1.Body]]:
    """(from the hub, number, body) of what came with the money core; `Trust` and `Lease` in their newer forms."""
    seed = Ed25519Signer(HUB_SEED)
    lot = j.Lot(bytes(range(16)), j.LotKind.GIFT, WALL_MS, WALL_MS + 9, "wechat", "wx-1", 3)
    row = ListRow(CREDENTIAL, ACCOUNT, "B", "active", 4, "", "minor", "W**", "zh-Hant", None, 900, None, b"", 2)
    parts = (j.Part("CNY", 300, None, lot.lot), j.Part("bonus", 20))
    peer = peers.PeerKey(VENUE, "North hall", seed.public, receive_public(HUB_PRIVATE))
    return [
        (False, 12, esm1.Lease((esm1.Grant(ACCOUNT, "CNY", 1, 1300, lot),))),
        (False, 0, esm1.Recall(ACCOUNT)),
        (False, 0, esm1.CloseOrder(1, "spare", "ada")),
        (False, 0, esm1.Elsewhere(ACCOUNT, coming=True)),
        (False, 3, esm1.Trust(3, (Ed25519Signer(OFFICE_SEED).public,), receive_public(OFFICE_PRIVATE), 1, (peer,))),
        (True, 40, peers.PeerAsk(ACCOUNT, "CNY", 5000)),
        (True, 41, peers.PeerBlocked(9, CREDENTIAL, ACCOUNT, "lost", "ada", "lost at the bar")),
        (True, 42, peers.PeerRightUsed(ACCOUNT, "pass:racers", WALL_MS, "lane-2")),
        (True, 43, peers.PeerHeard(9)),
        (True, 44, peers.PeerCard(10, row)),
        (True, 45, peers.Voucher(ACCOUNT, 1, 77, 40, parts, (lot,), (row,))),
        (True, 46, peers.PeerNothing(ACCOUNT, 40, moving=True)),
        (True, 47, peers.PeerTaken(1, 77)),
    ]


def grown_bodies() -> list[tuple[bool, int, esm1.Body]]:
    """(from the hub, number, body) of what grew behind that."""
    return [(True, 48, peers.PeerTaken(1, 77, heard=True))]


def newer_bodies() -> list[tuple[bool, int, esm1.Body]]:
    """(from the hub, number, body) of what grew with the second stream."""
    heard = (esm1.HeardOf(VENUE, 2, 91),)
    return [(False, 4, esm1.Receipt(1, 4, bytes([8]) * 32, WALL_MS + 6, bytes(range(16)), "", "", heard, 1, 7))]


def carried_bodies() -> list[tuple[bool, int, esm1.Body]]:
    """(from the hub, number, body) of what a second hub brought with it."""
    return [
        (True, 0, peers.PeerHere(1, 12, room=True)),
        (True, 0, peers.PeerKept(1, 13)),
        (True, 0, peers.PeerKept(1, 14, kept=False)),
        (False, 0, esm1.CarriedTaken(VENUE, 1, 13, bytes([9]) * 32)),
        (False, 0, esm1.CarriedTaken(VENUE, 1, 13, bytes([9]) * 32, "fork")),
    ]


def esm1_messages(rows_of: list[tuple[bool, int, esm1.Body]]) -> dict[str, object]:
    """One message per row, as it is signed and as it travels."""
    hub, office = Ed25519Signer(HUB_SEED), Ed25519Signer(OFFICE_SEED)
    to_hub, to_office = HpkeSealer(receive_public(HUB_PRIVATE)), HpkeSealer(receive_public(OFFICE_PRIVATE))
    rows = []
    for from_hub, number, body in rows_of:
        sender, to = (HUB, TENANT) if from_hub else (TENANT, HUB)
        message = esm1.Message(sender=sender, to=to, number=number, body=body)
        wire = post_message(message, signer=hub if from_hub else office, sealer=to_office if from_hub else to_hub)
        rows.append(
            {"body": type(body).__name__, "kind": message.kind, "from_hub": from_hub, "number": number,
             "message": esm1.encode_message(message).hex(), "wire": wire.hex()}
        )  # fmt: skip
    return {
        "note": "One ESM1 message per body; sealed ones are for opening. Here one key signs trust too. Test keys.",
        "hub_id": HUB.hex(),
        "tenant_id": TENANT.hex(),
        "hub_sign_seed": HUB_SEED.hex(),
        "hub_private": HUB_PRIVATE.hex(),
        "office_sign_seed": OFFICE_SEED.hex(),
        "office_private": OFFICE_PRIVATE.hex(),
        "messages": rows,
    }


def main() -> None:
    """Write what is not there yet."""
    for path, make in (
        (FOLDER / "ehb1" / "full.json", ehb1),
        (FOLDER / "ehb1" / "compressed.json", compressed),
        (FOLDER / "esm1" / "messages.json", lambda: esm1_messages(bodies())),
        (FOLDER / "esm1" / "money.json", lambda: esm1_messages(later_bodies())),
        (FOLDER / "esm1" / "heard.json", lambda: esm1_messages(grown_bodies())),
        (FOLDER / "esm1" / "takes.json", lambda: esm1_messages(newer_bodies())),
        (FOLDER / "esm1" / "carried.json", lambda: esm1_messages(carried_bodies())),
    ):
        if path.exists():
            sys.stdout.write(f"{path.name}: kept\n")
        else:
            path.write_text(json.dumps(make(), indent=1) + "\n")
            sys.stdout.write(f"{path.name}: written\n")


if __name__ == "__main__":
    main()
