"""Makes slip/slips.json from fixed test keys. Never overwrites: a released vector is kept.

python tests/vectors/make_slip_vectors.py
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cloud_sync.protocol import slips
from cloud_sync.protocol.slips import Slip
from cloud_sync.signing import Ed25519Signer
from payment_core.journal import LotKind

FILE = Path(__file__).resolve().parent / "slip" / "slips.json"
OFFICE_SEED = bytes(range(32, 64))
TENANT = bytes.fromhex("019399a0c0de70008000000000000002")
HUB = bytes.fromhex("019399a0c0de70008000000000000001")
VENUE = bytes.fromhex("019399a0c0de70008000000000000005")
ACCOUNT = bytes.fromhex("019399a0c0de70008000000000000003")
SLIP = bytes.fromhex("019399a0c0de70008000000000000007")
LOT = bytes.fromhex("019399a0c0de70008000000000000008")
WALL_MS = 1_795_300_000_000


def wanted() -> list[Slip]:
    """One slip of an account at any hub, one of whoever holds it at one lane, and the longest there is."""
    common = {
        "tenant_id": TENANT, "venue_id": VENUE, "slip_id": SLIP, "valid_until_ms": WALL_MS + slips.VALID_MS,
        "lot_id": LOT, "lot_opened_ms": WALL_MS,
    }  # fmt: skip
    return [
        Slip(hub_id=None, account_id=ACCOUNT, unit="CNY", amount=5_000, lane="", lot_kind=LotKind.PAID,
             lot_expires_ms=None, lot_terms=3, **common),
        Slip(hub_id=HUB, account_id=None, unit="CNY", amount=200, lane="racer-2", lot_kind=LotKind.PAID,
             lot_expires_ms=None, lot_terms=0, **common),
        Slip(hub_id=HUB, account_id=ACCOUNT, unit="play:" + "r" * 27, amount=2**53 - 1, lane="l" * 32,
             lot_kind=LotKind.GIFT, lot_expires_ms=WALL_MS + 1, lot_terms=2**32, **common),
    ]  # fmt: skip


def rows() -> list[dict[str, object]]:
    """Return the vectors."""
    signer = Ed25519Signer(OFFICE_SEED)
    made = []
    for slip in wanted():
        message = slips.encode_slip(slip)
        data = slips.join_slip(message, signer.sign(slips.signed_bytes(message)))
        made.append(
            {
                "account": slip.account.hex(), "hub": slip.hub_id and slip.hub_id.hex(),
                "unit": slip.unit, "amount": slip.amount, "lane": slip.lane,
                "lot_kind": slip.lot_kind, "lot_expires_ms": slip.lot_expires_ms, "lot_terms": slip.lot_terms,
                "message": message.hex(), "slip": data.hex(), "text": slips.slip_text(data),
            }
        )  # fmt: skip
    return made


if __name__ == "__main__":
    document = {
        "note": "Paid slips of version 1. Test keys.", "office_sign_seed": OFFICE_SEED.hex(), "tenant_id": TENANT.hex(),
        "venue_id": VENUE.hex(), "slip_id": SLIP.hex(), "lot_id": LOT.hex(), "lot_opened_ms": WALL_MS,
        "valid_until_ms": WALL_MS + slips.VALID_MS, "slips": rows(),
    }  # fmt: skip
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("x", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")
