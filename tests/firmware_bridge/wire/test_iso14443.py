"""ISO/IEC 14443-3 and -4: CRC_A, check bytes and blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import iso14443
from firmware_bridge.wire.iso14443 import Block

blocks = st.builds(
    Block,
    st.sampled_from(["information", "acknowledge", "repeat"]),
    number=st.integers(0, 1),
    cid=st.none() | st.integers(0, 14),
)


@pytest.mark.parametrize(("data", "crc"), [("0000", "A01E"), ("1234", "26CF"), ("5000", "57CD"), ("3000", "02A8")])
def test_crc_a_of_the_standards_annex_and_of_well_known_commands(data: str, crc: str) -> None:
    assert iso14443.crc_a(bytes.fromhex(data)) == bytes.fromhex(crc)


def test_check_byte_of_a_cascaded_uid() -> None:
    assert iso14443.check_byte(bytes.fromhex("8804A1B2")) == 0x9F


@pytest.mark.parametrize(("index", "size"), [(0, 16), (5, 64), (7, 128), (8, 256), (15, 256)])
def test_frame_sizes(index: int, size: int) -> None:
    assert iso14443.frame_size(index) == size


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("0200A4", Block("information", data=b"\x00\xa4")),
        ("1300", Block("information", number=1, more=True, data=b"\x00")),
        ("0A0500", Block("information", cid=5, data=b"\x00")),
        ("A2", Block("acknowledge")),
        ("B3", Block("repeat", number=1)),
        ("C2", Block("deselect")),
        ("CA01", Block("deselect", cid=1)),
    ],
)
def test_blocks_both_ways(text: str, block: Block) -> None:
    assert iso14443.encode_block(block) == bytes.fromhex(text)
    assert iso14443.decode_block(bytes.fromhex(text)) == block


@pytest.mark.parametrize("text", ["", "0A", "06AABB", "F201", "E050", "FF"])
def test_what_a_card_does_not_answer_is_none(text: str) -> None:
    assert iso14443.decode_block(bytes.fromhex(text)) is None


@given(blocks, st.binary(max_size=60), st.booleans())
def test_round_trip(block: Block, data: bytes, more: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
    if block.kind == "information":
        block = Block("information", number=block.number, more=more, cid=block.cid, data=data)
    assert iso14443.decode_block(iso14443.encode_block(block)) == block


@given(st.binary(max_size=80))
def test_no_frame_raises(frame: bytes) -> None:
    block = iso14443.decode_block(frame)
    assert block is None or block.number in (0, 1)
