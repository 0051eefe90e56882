"""The memory of a fresh NTAG213, and which version answers are an NTAG's."""

import pytest

from firmware_bridge.wire import ndef_file, type2_tag


def test_a_fresh_ntag213_has_its_uid_check_bytes_and_capabilities() -> None:
    memory = type2_tag.ntag213_memory(bytes.fromhex("04A1B2C3D4E580"), "https://a.example")
    assert len(memory) == 180
    assert memory[:16] == bytes.fromhex("04A1B29F C3D4E580 72480000 E1101200")
    assert memory[16:18] == bytes.fromhex("030E")
    assert ndef_file.first_uri(bytes(memory[18:])) == "https://a.example"
    assert memory[160:180] == bytes.fromhex("000000BD 040000FF 00000000 FFFFFFFF 00000000")


@pytest.mark.parametrize(
    ("version", "is_ntag"),
    [
        ("0004040201000F03", True),  # NTAG213
        ("0004040201001303", True),  # NTAG216
        ("0004030101000B03", False),  # MIFARE Ultralight EV1
        ("0053040201000F03", False),  # another vendor
        ("00", False),
        ("", False),
    ],
)
def test_version_answers(version: str, is_ntag: bool) -> None:  # noqa: FBT001 - an expected value
    assert type2_tag.is_ntag21x(bytes.fromhex(version)) is is_ntag
