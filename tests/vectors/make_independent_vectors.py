"""Write ehb1/theirs.json: batches of the second writer, made from docs/wire/ehb1.md alone. What is there is kept.

`python -m tests.vectors.make_independent_vectors` in the project's folder.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack
from backports import zstd

from tests.support import independent_ehb1 as second
from tests.support import independent_hpke as hpke

FILE: Final = Path(__file__).parent / "ehb1" / "theirs.json"
HUB: Final = bytes.fromhex("0193a5b6c7d87e0f8000000000005e2d")
SIGN: Final = bytes(range(0x60, 0x80))
RECEIVE: Final = {1: bytes(range(0x80, 0xA0)), 2: bytes(range(0x80, 0xA0)), 3: bytes(range(0x10, 0x70))}
MS: Final = 1_795_300_000_000
NOTE: Final = (
    "Two epochs of a ledger and one telemetry journal, written by tests/support/independent_ehb1.py. Test keys."
)


class Post(NamedTuple):
    """One batch to write."""

    what: str
    records: list[bytes]
    suite: int = 1
    pack: Callable[[bytes], bytes] | None = None


def head(seq: int, *, full: bool = False) -> list[Any]:
    """Return a record's header, as short as may be or with all 19 fields."""
    short = [seq, MS + seq, bytes(15) + b"\7", 60_000 + seq, 1, 20261122, 2, 2]
    venue = [bytes(16), "hall", "racer-2", "lane-2", None, 7, bytes(range(8)), "vat6", "ppppppp", 3, "late"]
    return short + venue if full else short


def opened(epoch: int, *before: Any) -> bytes:
    """Return an EpochOpened. `before`: epoch, last seq and tail of the one before; nothing where it is the first."""
    return msgpack.packb([1, 1, [*head(1)[:6], 4, 0], epoch, *(before or (0, 0, b"")), "new"])


def coins(first: int, many: int) -> list[bytes]:
    """Return CoinBooked entries, every other one with a full header."""
    seqs = range(first, first + many)
    return [msgpack.packb([10, 1, head(i, full=i % 2 == 0), "acceptor-1", 1, i, i, 1, "CNY", 100]) for i in seqs]


def told(at: int) -> list[bytes]:
    """Return telemetry of each type, and one of a type that no release knows."""
    day = [20261122, 1, 0, 7, [[10, 2, "cash", "CNY", -700, 7]], 0]
    return [
        msgpack.packb(each)
        for each in (
            [1, 1, MS + at, 12, MS, MS + at],
            [2, 1, MS + at, 3, 900, 10**9, 10**6, 10**5, 0, 1],
            [3, 1, MS + at, "acceptor-1", "online", MS],
            [4, 1, MS + at, *day],
            [99, 1, MS + at, "later"],
        )
    ]


def raw_frame(body: bytes) -> bytes:
    """Return a zstd frame made by hand: a window of 256 KiB, no length, no checksum, plain blocks of 100 bytes."""
    cut = [body[at : at + 100] for at in range(0, len(body), 100)]
    blocks = [(len(each) << 3 | (i == len(cut) - 1)).to_bytes(3, "little") + each for i, each in enumerate(cut)]
    return bytes.fromhex("28b52ffd0040") + b"".join(blocks)


def with_checksum(body: bytes) -> bytes:
    """Return a zstd frame with a checksum and without its content's length."""
    options = {zstd.CompressionParameter.checksum_flag: 1, zstd.CompressionParameter.content_size_flag: 0}
    return zstd.compress(body, options=options)


def journal(stream: int, epoch: int, posts: list[Post]) -> list[dict[str, Any]]:
    """Return one journal's batches, each chained to the one before."""
    out, after = [], second.Place(epoch)
    for i, post in enumerate(posts):
        dice = b"".join(hashlib.sha256(f"theirs {part} {stream} {epoch} {i}".encode()).digest() for part in range(2))
        batch = second.write_batch(
            post.records,
            hub_id=HUB,
            hub_sign_private=SIGN,
            office_receive_public=hpke.public_of(RECEIVE[post.suite]),
            ephemeral=dice if post.suite == 3 else dice[:32],
            created_ms=MS + 100 * i,
            after=after,
            suite=post.suite,
            stream=stream,
            time_quality=i % 5,
            pack=post.pack,
        )
        tails, after = after.tail, second.place_after(batch)
        out.append(
            {
                "what": post.what,
                "stream": stream,
                "suite": post.suite,
                "compressed": post.pack is not None,
                "epoch": epoch,
                "batch_seq": after.batch_seq,
                "first_record": after.last_record - len(post.records) + 1,
                "previous_tail": tails.hex(),
                "tail": after.tail.hex(),
                "hash": after.batch_hash.hex(),
                "ephemeral": (dice if post.suite == 3 else dice[:32]).hex(),
                "records": [record.hex() for record in post.records],
                "batch": batch.hex(),
            }
        )
    return out


def vectors() -> dict[str, Any]:
    """Return the whole file."""
    first = journal(
        0,
        1,
        [
            Post("the first batch of an epoch", [opened(1), *coins(2, 3)]),
            Post("the second, chained to the first, suite 2", coins(5, 2), suite=2),
            Post("the third, compressed", coins(7, 20), pack=zstd.compress),
            Post("the fourth, suite 3", coins(27, 1), suite=3),
            Post("a frame with a checksum and no length", coins(28, 20), pack=with_checksum),
            Post("a frame of plain blocks, suite 2", coins(48, 2), suite=2, pack=raw_frame),
        ],
    )
    tail = bytes.fromhex(first[-1]["tail"])
    return {
        "note": NOTE,
        "hub_id": HUB.hex(),
        "topic": second.topic(HUB),
        "hub_sign_seed": SIGN.hex(),
        "office_private": {str(suite): key.hex() for suite, key in RECEIVE.items()},
        "batches": [
            *first,
            *journal(0, 2, [Post("the first batch of the next epoch", [opened(2, 1, 49, tail), *coins(2, 1)])]),
            *journal(
                1, 1_795_300_000, [Post("telemetry", told(0)), Post("compressed, suite 3", told(9), 3, zstd.compress)]
            ),
        ],
    }


if __name__ == "__main__" and not FILE.exists():
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
