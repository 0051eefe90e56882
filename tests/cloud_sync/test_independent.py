"""The page of EHB1 is enough: a reader and writer made from it alone, and the product, take and refuse the same."""

import ast
import json
import random
import sys
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.protocol import topics
from cloud_sync.signing import Ed25519Signer, is_weak_key, public_of
from tests.support import independent_ehb1 as second
from tests.support import independent_hpke as hpke
from tests.support.independent_ehb1 import Place, RefusedError
from tests.support.sizes import count, one_of
from tests.support.tree import ROOT
from tests.support.two_readers import (
    HUB,
    KEYS,
    SIGN,
    SMALL,
    product_says,
    sealed_by_us,
    second_says,
    second_says_without_place,
    written,
)
from tests.vectors import make_independent_vectors as theirs

VECTORS = ROOT / "tests" / "vectors" / "ehb1"
MINE = [ROOT / "tests" / "support" / f"independent_{part}.py" for part in ("ehb1", "entries", "hpke")]


def read(name):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


# --------------------------------------------------------------------------------------------------- kept vectors
@pytest.mark.parametrize("name", ["full.json", "compressed.json", "theirs.json"])
def test_the_second_reader_opens_every_batch_of_the_vectors(name):
    vector = read(name)
    signer = public_of(bytes.fromhex(vector["hub_sign_seed"]))
    private = vector["office_private"]
    keys = tuple(bytes.fromhex(key) for key in ([private] if isinstance(private, str) else private.values()))
    places = {}
    for batch in vector["batches"]:
        journal = batch.get("stream", 0), batch.get("epoch", 1)
        after = places.get(journal, Place(journal[1]))
        data, known = bytes.fromhex(batch["batch"]), {"hub": bytes.fromhex(vector["hub_id"]), "signer": signer}
        assert second_says(data, after, keys=keys, **known) == [bytes.fromhex(record) for record in batch["records"]]
        assert product_says(data, after, keys=keys, **known) == [bytes.fromhex(record) for record in batch["records"]]
        assert after.tail.hex() == batch["previous_tail"]
        assert second.batch_hash(data).hex() == batch["hash"]
        places[journal] = second.place_after(data)


def test_the_second_reader_opens_the_reference_and_refuses_its_records():
    vector = read("reference.json")
    signer = public_of(bytes.fromhex(vector["hub_sign_seed"]))
    for i, data in enumerate(map(bytes.fromhex, vector["batches"]), start=1):
        header, sealed = second.authenticate(data, hub_sign_public=signer, hub_id=bytes.fromhex(vector["hub_id"]))
        body = second.open_body(data, header, sealed, bytes.fromhex(vector["office_x25519_private"]))
        assert json.loads(body) == {"i": i}
        with pytest.raises(RefusedError, match="framing"):
            second.records_of(header, body, Place(last_record=header["first_record"] - 1))


@pytest.mark.parametrize("vector", read("rfc9180.json")["vectors"], ids=["aes-256-gcm", "chacha20-poly1305"])
def test_the_second_hpke_opens_the_cases_of_the_rfc(vector):
    suite = {2: 2, 3: 1}[vector["aead_id"]]
    private, info, enc, text, aad = (bytes.fromhex(vector[name]) for name in ("skRm", "info", "enc", "ct", "aad"))
    assert hpke.public_of(private).hex() == vector["pkRm"]
    assert hpke.unseal(suite, private, info, enc + text, aad=aad).hex() == vector["pt"]


def test_the_second_writer_writes_its_vectors_again_bit_by_bit():
    kept, again = read("theirs.json")["batches"], theirs.vectors()["batches"]
    free = {"batch", "hash"}  # other versions of zstd write others, and what follows them has another previous hash
    told = [[{key: one[key] for key in one.keys() - free} for one in batches] for batches in (kept, again)]
    assert told[0] == told[1]
    same = [i for i, one in enumerate(kept) if one["batch_seq"] < 3 and not one["compressed"]]
    assert [kept[i]["batch"] for i in same] == [again[i]["batch"] for i in same]
    assert len(same) == 4


# -------------------------------------------------------------------------------------------------- fresh batches
LEDGER = st.integers(0, 12).map(lambda more: [theirs.opened(1), *theirs.coins(2, more)])
TELEMETRY = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20)
POSTS = st.one_of(st.tuples(st.just(0), LEDGER), st.tuples(st.just(1), TELEMETRY))


@one_of(50)
@given(post=POSTS, suite=st.sampled_from([1, 2, 3]), packed=st.booleans())
def test_what_the_product_seals_the_second_reader_opens(post, suite, packed):
    stream, records = post
    data = sealed_by_us(records, after=Place(), suite=suite, stream=stream, packed=packed)
    assert second_says(data, Place()) == records


@one_of(50)
@given(post=POSTS, suite=st.sampled_from([1, 2, 3]), packed=st.booleans(), dice=st.integers(0, 2**32))
def test_what_the_second_writer_seals_the_product_takes(post, suite, packed, dice):
    stream, records = post
    data = written(records, suite=suite, stream=stream, dice=dice, pack=theirs.with_checksum if packed else None)
    assert product_says(data, Place()) == records == second_says(data, Place())


def test_both_write_one_journal_in_turns():
    after, first = Place(), theirs.opened(1)
    for turn, suite in enumerate((1, 2, 1, 2, 3)):
        records = [*([first] if turn == 0 else []), *theirs.coins(max(2, after.last_record + 1), 3)]
        if turn % 2:
            data = written(records, after=after, suite=suite, pack=zstd.compress)
        else:
            data = sealed_by_us(records, after=after, suite=suite, stream=0, packed=True)
        assert product_says(data, after) == second_says(data, after) == records
        after = second.place_after(data)


def test_the_second_topic_is_the_products():
    assert second.topic(HUB) == topics.hub_topic(HUB, "up", "batch") == read("theirs.json")["topic"]


# ------------------------------------------------------------------------------------------------------- refusals
def flipped(data, bit):
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def both_refuse_a_flip(data, bits):
    for bit in bits:
        bad = flipped(data, bit)
        reason = product_says(bad, Place())
        assert isinstance(reason, str), bit
        assert reason == second_says_without_place(bad, Place()), bit


def test_a_flipped_bit_makes_both_refuse_for_the_same_reason():
    data = written(pack=zstd.compress)
    both_refuse_a_flip(data, random.Random(1).sample(range(len(data) * 8), 60))


@pytest.mark.long
@pytest.mark.parametrize("suite", [1, 2, 3])
def test_any_flipped_bit_makes_both_refuse_for_the_same_reason(suite):
    data = written(suite=suite)
    dice = random.Random(suite)
    both_refuse_a_flip(data, sorted(dice.sample(range(len(data) * 8), max(400, count(len(data) * 8)))))


def test_a_flipped_bit_that_is_signed_again_does_not_open_for_either():
    data = written()
    signer = Ed25519Signer(SIGN)
    for bit in random.Random(2).sample(range((len(data) - 64) * 8), max(40, count(2_000))):
        bad = flipped(data, bit)[:-64]
        bad += signer.sign(b"edgehub/batch-sig/v1\0" + bad)
        reason = product_says(bad, Place())
        assert isinstance(reason, str), bit
        assert reason == second_says_without_place(bad, Place()), bit


LIES = {
    "magic": [(b"EHB2", "magic")],
    "version": [(0, "version"), (2, "version")],
    "suite": [(0, "suite"), (4, "suite"), (2, "decrypt"), (3, "length")],
    "flags": [(1, "compressed"), (2, "flags"), (3, "flags"), (0x8000, "flags")],
    "hub_id": [(bytes(16), "hub")],
    "epoch": [(2, "parked")],
    "batch_seq": [(0, "count")],
    "first_record": [(0, "count"), (2, "first_record"), (2**64 - 1, "first_record")],
    "record_count": [(0, "count"), (1, "framing"), (2, "framing"), (4, "count"), (10_000, "count"), (10_001, "count")],
    "time_quality": [(5, "time_quality")],
    "stream": [(2, "stream")],
    "padding": [(1, "padding"), (256, "padding")],
    "recipient_key": [(bytes(8), "recipient"), (second.key_id(hpke.public_of(KEYS[3])), "decrypt")],
    "signer_key": [(bytes(8), "signer")],
    "journal_tail_hash": [(bytes(32), "chain")],
    "sealed_length": [(0, "length"), (48, "length"), (262_145, "length")],
}


@pytest.mark.parametrize("field", LIES)
def test_a_header_that_lies_is_refused_by_both_for_the_pages_reason(field):
    for value, reason in LIES[field]:
        data = written(lies={field: value})
        assert product_says(data, Place()) == second_says_without_place(data, Place()) == reason, value


@pytest.mark.long
def test_of_two_lies_both_name_the_same_first():
    lies = [(field, value) for field, cases in LIES.items() for value, _ in cases]
    for one in lies:
        for other in lies:
            data = written(lies=dict([one, other]))
            assert product_says(data, Place()) == second_says_without_place(data, Place()), (one, other)


def test_a_batch_out_of_its_place_is_refused_by_the_second_reader():
    first = written()
    place = second.place_after(first)
    later = written(theirs.coins(4, 1), after=place)
    assert second_says(later, Place()) == "ahead"
    assert second_says(first, place) == "again"
    assert second_says(first, place._replace(epoch=2)) == "old_epoch"
    assert second_says(later, place._replace(batch_hash=bytes(32))) == "fork"
    assert second_says(later, place._replace(last_record=9)) == "fork"
    assert second_says(later, place._replace(tail=bytes(32))) == "chain"


FRAMES = {
    "a dictionary's id of 0": ("28b52ffd 01 40 00", True),
    "a dictionary's id": ("28b52ffd 01 40 07", False),
    "a window of 256 KiB": ("28b52ffd 00 40", True),
    "a window of 288 KiB": ("28b52ffd 00 41", False),
    "the reserved bit": ("28b52ffd 08 40", False),
    "the unused bit": ("28b52ffd 10 40", True),
    "a length that is too great": ("28b52ffd a0 91fb0300", False),
    "a skippable frame before": ("502a4d18 00000000 28b52ffd 00 40", False),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_zstd_frame_made_by_hand_is_taken_by_both_or_by_neither(name):
    start, taken = FRAMES[name]
    data = written(pack=lambda body: bytes.fromhex(start) + theirs.raw_frame(body)[6:])
    assert product_says(data, Place()) == second_says(data, Place()) == (list(SMALL) if taken else "compressed")


@pytest.mark.parametrize("tail", [b"\0", zstd.compress(b""), bytes.fromhex("502a4d1800000000")])
def test_nothing_may_stand_behind_a_frame(tail):
    data = written(pack=lambda body: zstd.compress(body) + tail)
    assert product_says(data, Place()) == second_says(data, Place()) == "compressed"


@pytest.mark.parametrize("behind", [b"\0", bytes(4), b"\0\0\0\1x", b"\0\0\0\2x"])
def test_nothing_may_stand_behind_the_last_record(behind):
    data = written(pack=lambda body: zstd.compress(body + behind))
    assert product_says(data, Place()) == second_says(data, Place()) == "framing"


@pytest.mark.long
@pytest.mark.parametrize(
    ("sizes", "packed", "says"),
    [
        ([261_004], False, None),
        ([262_092], False, None),
        ([262_093], False, "length"),
        ([261_004], True, None),
        ([261_005], True, "compressed"),
        ([1] * 10_000, False, None),
        ([1] * 10_001, False, "count"),
    ],
)
def test_both_keep_the_same_limits(sizes, packed, says):
    records = [bytes(size) for size in sizes]
    data = written(records, stream=1, pack=zstd.compress if packed else None)
    assert product_says(data, Place()) == second_says(data, Place()) == (says or records)


def test_a_signers_key_of_small_order_signs_nothing_for_either():
    neutral = (1).to_bytes(32, "little")  # under it, the neutral point and a zero sign everything
    data = written(lies={"signer_key": second.key_id(neutral)})[:-64] + neutral + bytes(32)
    assert product_says(data, Place(), signer=neutral) == second_says(data, Place(), signer=neutral) == "signature"


def test_both_know_the_same_keys_of_small_order():
    p = 2**255 - 19
    order_8 = int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    )
    for y in (0, 1, p - 1, p, p + 1, order_8, p - order_8, 2, 3, 4):
        for sign in (0, 1 << 255):
            key = (y | sign).to_bytes(32, "little")
            assert hpke.is_of_small_order(key) == is_weak_key(key), y


# --------------------------------------------------------------------------------------------- the page and itself
def imported(path: Path):
    """Yield what a file imports, with the names it takes from a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MINE, ids=lambda path: path.stem)
def test_the_second_reader_imports_nothing_of_this_project(path):
    beside = {f"tests.support.{other.stem}" for other in MINE}
    free = sys.stdlib_module_names | {"msgpack", "backports", "cryptography"}
    found = set(imported(path))
    assert {name for name in found - beside if name.split(".")[0] not in free} == set()
    assert not any("hpke" in name for name in found - beside)
