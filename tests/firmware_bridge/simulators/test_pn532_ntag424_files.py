"""A blank NTAG 424 is encoded as a desk does it: keys, URL, SUN; and what it refuses."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.simulators.pn532_ntag424 import Ntag424
from firmware_bridge.wire import ndef_file, ntag424, ntag424_session
from firmware_bridge.wire.ntag424_files import FREE, PLAIN, Rights, Sdm, Settings, encode_settings
from firmware_bridge.wire.ntag424_session import Session, changed_key, host_reply, host_session, native

UID = bytes.fromhex("04DE5F1EACC040")
BLANK = bytes(16)
KEYS = [bytes([number + 1]) * 16 for number in range(5)]
SELECT_NDEF = bytes.fromhex("00A4040007D276000085010100")
SELECT_FILE = bytes.fromhex("00A4000C02E104")
READ = bytes.fromhex("00B0000000")
URL = "https://card.example/t?uid=" + "0" * 14 + "&ctr=" + "0" * 6 + "&mac=" + "0" * 16
CONTENT = ndef_file.type4_file(ndef_file.uri_record(URL))


class Desk:
    """Encodes a card over its APDUs."""

    def __init__(self, card: Ntag424) -> None:
        self.card = card
        assert card.apdu(SELECT_NDEF) == b"\x90\x00"

    def authenticate(self, number: int, key: bytes) -> Session | None:
        challenge = self.card.apdu(native(ntag424_session.AUTHENTICATE, bytes([number, 0])))
        reply = host_reply(key, challenge[:16], rnd_a=b"\xaa" * 16)
        return host_session(key, reply, self.card.apdu(native(ntag424_session.MORE, reply.said))[:-2])

    def ask(
        self, session: Session, code: int, header: bytes, data: bytes = b"", *, full: bool = True, answer: bool = False
    ) -> bytes | None:
        """Return what a good answer says, None where it is none; `answer`: the answer is encrypted too."""
        return session.answered(self.card.apdu(session.command(code, header, data, encrypted=full)), encrypted=answer)


def opened(card: Ntag424, number: int = 0, key: bytes = BLANK) -> tuple[Desk, Session]:
    desk = Desk(card)
    session = desk.authenticate(number, key)
    assert session is not None
    return desk, session


def sun_settings(file_read: int = 1, change: int = 0) -> bytes:
    at = [CONTENT.index(name) + 4 for name in (b"uid=", b"ctr=", b"mac=")]
    sdm = Sdm(meta_read=FREE, file_read=file_read, mac_from=at[2], mac_at=at[2], uid_at=at[0], counter_at=at[1])
    return encode_settings(Settings(PLAIN, Rights(read=FREE, write=0, read_write=0, change=change), sdm))


def blank() -> Ntag424:
    return Ntag424(UID, None, dice=bytes)


def test_a_blank_becomes_a_card_that_the_hub_can_prove() -> None:
    card = blank()
    desk, session = opened(card)
    assert desk.ask(session, ntag424_session.GET_CARD_UID, b"", answer=True) == UID
    header = b"\x02" + bytes(3) + len(CONTENT).to_bytes(3, "little")
    assert desk.ask(session, ntag424_session.WRITE_DATA, header, CONTENT) == b""
    assert desk.ask(session, ntag424_session.CHANGE_FILE_SETTINGS, b"\x02", sun_settings()) == b""
    for number in (1, 2, 3, 4):
        data = changed_key(KEYS[number], 1, old=BLANK)
        assert desk.ask(session, ntag424_session.CHANGE_KEY, bytes([number]), data) == b""
        version = desk.ask(session, ntag424_session.GET_KEY_VERSION, bytes([number]), full=False)
        assert version == b"\x01"
    own = session.command(ntag424_session.CHANGE_KEY, b"\x00", changed_key(KEYS[0], 1, old=None), encrypted=True)
    assert card.apdu(own) == b"\x91\x00"
    assert card.memory.keys == KEYS
    assert desk.authenticate(0, BLANK) is None
    for counter in (1, 2):
        desk = Desk(card)
        card.apdu(SELECT_FILE)
        url = ndef_file.first_uri(card.apdu(READ)[2:-2])
        assert url is not None
        proof = prove_sun(url=url, token_key=KEYS[1], last_counter=counter - 1)
        assert proof == SunProof(uid=UID.hex().upper(), counter=counter)
    assert card.apdu(bytes.fromhex("00D600000100")) == bytes.fromhex("6982")


def test_a_blank_can_be_written_in_plain_too() -> None:
    card = blank()
    desk, session = opened(card)
    write = b"\x02" + bytes(3) + b"\x04\x00\x00"
    assert card.apdu(native(ntag424_session.WRITE_DATA, write + b"mace")) == b"\x91\x00"
    session.counter += 1
    assert desk.ask(session, ntag424_session.WRITE_DATA, write, b"MACE", full=False) == b""
    assert card.apdu(native(ntag424_session.READ_DATA, write)) == b"MACE\x91\x00"
    card.apdu(SELECT_FILE)
    assert card.apdu(bytes.fromhex("00D6000002ABCD")) == b"\x90\x00"
    assert card.apdu(bytes.fromhex("00D600FF02ABCD")) == bytes.fromhex("6B00")
    assert card.apdu(bytes.fromhex("00B0000004")) == b"\xab\xcdCE\x90\x00"


def test_the_own_file_is_full_and_has_keys_of_its_own() -> None:
    card = blank()
    header = b"\x03" + bytes(3) + b"\x05\x00\x00"
    desk, session = opened(card, 3)
    assert desk.ask(session, ntag424_session.WRITE_DATA, header, b"hello") == b""
    desk, session = opened(card, 2)
    assert desk.ask(session, ntag424_session.READ_DATA, header, full=False, answer=True) == b"hello"
    desk, session = opened(card, 0)
    assert desk.ask(session, ntag424_session.READ_DATA, header, full=False, answer=True) is None


def test_file_settings_are_told() -> None:
    desk, session = opened(Ntag424(UID, BLANK, dice=bytes))
    told = desk.ask(session, ntag424_session.GET_FILE_SETTINGS, b"\x02", full=False)
    assert told == b"\x00" + sun_settings()[:3] + (256).to_bytes(3, "little") + sun_settings()[3:]


def by(code: int, header: str, data: bytes, *, full: bool = True) -> Callable[[Session], bytes]:
    return lambda session: session.command(code, bytes.fromhex(header), data, encrypted=full)


@pytest.mark.parametrize(
    ("number", "command", "status"),
    [
        (0, by(0xC4, "01", changed_key(KEYS[1], 1, old=KEYS[2])), "911E"),  # the old key is not that
        (0, by(0xC4, "01", KEYS[1]), "911E"),
        (0, by(0xC4, "05", changed_key(KEYS[1], 1, old=BLANK)), "919D"),
        (1, by(0xC4, "02", changed_key(KEYS[1], 1, old=BLANK)), "919D"),  # only key 0 may
        (1, by(0x5F, "02", sun_settings()), "919D"),
        (0, by(0x5F, "09", sun_settings()), "91F0"),
        (0, by(0x5F, "02", sun_settings()[:-1]), "919E"),
        (0, by(0x5F, "01", sun_settings()), "919E"),  # the mirrors lie behind the end of file 1
        (0, by(0x8D, "02FE000004 0000".replace(" ", ""), b"long"), "91BE"),
        (0, by(0x8D, "02000000050000", b"four"), "91BE"),
        (0, by(0x8D, "09000000040000", b"four"), "91F0"),
        (0, by(0x8D, "03000000040000", b"four"), "919D"),
        (0, by(0xAD, "02000000010200", b"", full=False), "91BE"),
        (0, by(0xAD, "09000000010000", b"", full=False), "91F0"),
        (0, by(0x64, "05", b"", full=False), "919E"),
        (0, by(0xF5, "09", b"", full=False), "91F0"),
        (0, lambda session: by(0x51, "", b"")(session)[:-2] + b"\x00\x00", "911E"),
    ],
)
def test_what_a_session_refuses_ends_it(number: int, command: Callable[[Session], bytes], status: str) -> None:
    card = blank()
    _, session = opened(card, number)
    assert card.apdu(command(session)).hex().upper() == status
    assert card.memory.session is None
    assert card.apdu(command(session)).hex().upper() == "91AE"
    assert card.memory.keys == [BLANK] * 5


def test_a_session_ends_with_the_power() -> None:
    card = blank()
    desk, session = opened(card)
    card.reset()
    assert desk.ask(session, ntag424_session.GET_CARD_UID, b"", answer=True) is None


@given(st.sampled_from(sorted((0x51, 0x64, 0xF5, 0x5F, 0xC4, 0x8D, 0xAD))), st.binary(max_size=40))
def test_no_command_in_a_session_raises(code: int, body: bytes) -> None:
    card = blank()
    opened(card)
    assert len(card.apdu(native(code, body))) >= 2


def test_a_card_with_encrypted_uid_and_counter() -> None:
    card = blank()
    sdm = Sdm(meta_read=2, file_read=1, mac_from=70, mac_at=70, picc_at=20)
    card.memory.files[2].settings = Settings(PLAIN, Rights(read=FREE, write=0, read_write=0, change=0), sdm)
    Desk(card)
    card.apdu(SELECT_FILE)
    shown = card.apdu(READ)[:-2]
    assert ntag424.picc_data(BLANK, bytes.fromhex(shown[20:52].decode())) == ntag424.PiccData(uid=UID, counter=1)
    assert shown[70:86] == ntag424.sdm_mac(BLANK, uid=UID, counter=1).hex().upper().encode()
