"""A process that keeps, drops and seals telemetry; each line it prints is something that has happened for good.

    python -m tests.support.telemetry_child FOLDER    ->    `ready`, `added N`, `sealed SEQ DIGEST`, `done`
"""

import hashlib
import os
import sys
from pathlib import Path

from cloud_sync.protocol.batcher import build_body, chain_tail
from cloud_sync.upload_effects import SealedBatch
from edge_agent.ledger.telemetry import TelemetryStore
from payment_core.telemetry import DeviceWas, encode_fact

ROUNDS = 6
FACTS = 9
BUDGET = 1_400
FILE = "telemetry.sqlite3"


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def seal(store: TelemetryStore) -> SealedBatch:
    place, records = store.place(), store.next_records(1)
    data = bytes(108) + chain_tail(place.tail_hash, records) + build_body(records)
    batch = SealedBatch(
        batch_seq=place.last_seq + 1, first_record=place.last_record + 1, record_count=len(records),
        digest=hashlib.sha256(data).digest(), data=data,
    )  # fmt: skip
    store.keep_sealed(batch, 1)
    return batch


def main(folder: Path) -> None:
    store = TelemetryStore(folder / FILE, epoch=7, budget=BUDGET)
    say("ready")
    for number in range(ROUNDS):
        facts = [DeviceWas(1, 1, "racer-1", "online", number * FACTS + one) for one in range(FACTS)]
        store.add([(1, encode_fact(fact)) for fact in facts])
        say(f"added {(number + 1) * FACTS}")
        if number % 3 == 1:
            batch = seal(store)
            say(f"sealed {batch.batch_seq} {batch.digest.hex()}")
    store.set_budget(BUDGET // 2)
    say("done")
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
