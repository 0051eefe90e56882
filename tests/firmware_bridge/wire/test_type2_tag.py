"""The memory of fresh tags, and which version answers are whose."""

import pytest

from firmware_bridge.wire import ndef_file, type2_tag


def test_a_fresh_ntag213_has_its_uid_check_bytes_and_capabilities() -> None:
    uid = bytes.fromhex("04A1B2C3D4E580")
    memory = type2_tag.fresh_memory(type2_tag.KINDS["ntag213"], uid, "https://a.example")
    assert len(memory) == 180
    assert memory[:16] == bytes.fromhex("04A1B29F C3D4E580 72480000 E1101200")
    assert memory[16:18] == bytes.fromhex("030E")
    assert ndef_file.first_uri(bytes(memory[18:])) == "https://a.example"
    assert memory[160:180] == bytes.fromhex("000000BD 040000FF 00000000 FFFFFFFF 00000000")


@pytest.mark.parametrize(
    ("name", "size", "end"),
    [
        ("ultralight", 64, "00" * 12),
        ("ultralight_ev1", 80, "040000FF 00000000 FFFFFFFF 00000000"),
        ("ntag215", 540, "000000BD 040000FF 00000000 FFFFFFFF 00000000"),
        ("ntag216", 924, "000000BD 040000FF 00000000 FFFFFFFF 00000000"),
    ],
)
def test_fresh_tags_of_other_kinds(name: str, size: int, end: str) -> None:
    memory = type2_tag.fresh_memory(type2_tag.KINDS[name], bytes.fromhex("04A1B2C3D4E580"), "https://a.example")
    assert len(memory) == size
    assert memory.endswith(bytes.fromhex(end))
    assert ndef_file.first_uri(bytes(memory[18:])) == "https://a.example"


@pytest.mark.parametrize(
    ("version", "is_ntag", "is_ultralight"),
    [
        ("0004040201000F03", True, False),  # NTAG213
        ("0004040201001303", True, False),  # NTAG216
        ("0004030101000B03", False, True),  # MIFARE Ultralight EV1
        ("0053040201000F03", False, False),  # another vendor
        ("00", False, False),
        ("", False, False),
    ],
)
def test_version_answers(version: str, is_ntag: bool, is_ultralight: bool) -> None:  # noqa: FBT001 - expected values
    assert type2_tag.is_ntag21x(bytes.fromhex(version)) is is_ntag
    assert type2_tag.is_ultralight_ev1(bytes.fromhex(version)) is is_ultralight
