"""The virtual NTAG213: commands, locks and password."""

from firmware_bridge.simulators.pn532_cards import RadioAnswer
from firmware_bridge.simulators.pn532_type2 import Type2Card

ACK = RadioAnswer(b"\x0a", nibble=True)
NAK = RadioAnswer(b"\x00", nibble=True)


def card() -> Type2Card:
    made = Type2Card("ntag213", bytes.fromhex("04A1B2C3D4E580"))
    made.activate()
    return made


def ask(to: Type2Card, text: str) -> RadioAnswer | None:
    return to.exchange(bytes.fromhex(text))


def data(to: Type2Card, text: str) -> str:
    answer = ask(to, text)
    assert answer is not None
    assert not answer.nibble
    return answer.data.hex().upper()


def test_an_ultralight_is_silent_at_what_it_does_not_know() -> None:
    for command in ("60", "1BFFFFFFFF", "3C00", "3A0001"):
        plain = Type2Card("ultralight", bytes.fromhex("04A1B2C3D4E580"))
        plain.activate()
        assert ask(plain, "3000") == RadioAnswer(bytes.fromhex("04A1B29FC3D4E5807248000" + "0E1100600"))
        assert ask(plain, command) is None
        assert ask(plain, "3000") is None


def test_an_ultralight_ev1_and_the_larger_ntags_have_their_own_places() -> None:
    for name, pages, first in (("ultralight_ev1", 20, 16), ("ntag215", 135, 131), ("ntag216", 231, 227)):
        card = Type2Card(name, bytes.fromhex("04A1B2C3D4E580"))
        card.activate()
        assert ask(card, f"30{pages:02X}") == NAK
        card.activate()
        assert ask(card, f"A2{first + 2:02X}01020304") == ACK
        assert ask(card, f"A2{first + 3:02X}AABB0000") == ACK
        assert ask(card, f"A2{first:02X}04000004") == ACK
        card.activate()
        assert ask(card, "A20400000000") == NAK
        card.activate()
        assert data(card, "1B01020304") == "AABB"
        assert ask(card, "A20400000000") == ACK
        assert data(card, f"3A{first + 2:02X}{first + 3:02X}") == "00" * 8


def test_it_is_silent_until_it_is_activated() -> None:
    assert Type2Card("ntag213", bytes(7)).exchange(b"\x60") is None


def test_version_signature_and_reads() -> None:
    ntag = card()
    assert data(ntag, "60") == "0004040201000F03"
    assert len(data(ntag, "3C00")) == 64
    assert data(ntag, "3000") == "04A1B29FC3D4E58072480000E1101200"
    assert data(ntag, "3A0001") == "04A1B29FC3D4E580"


def test_a_read_at_the_end_rolls_over_and_shows_no_password() -> None:
    assert data(card(), "302C") == "0000000004A1B29FC3D4E58072480000"
    assert data(card(), "302B") == "000000000000000004A1B29FC3D4E580"


def test_nak_sends_it_to_sleep() -> None:
    for command in ("302D", "3A0500", "3A002D", "1A00", "A20411", "6000", "3902"):
        ntag = card()
        assert ask(ntag, command) == NAK
        assert ask(ntag, "60") is None
        ntag.activate()
        assert data(ntag, "60") == "0004040201000F03"


def test_halt_is_not_answered() -> None:
    ntag = card()
    assert ask(ntag, "5000") is None
    assert ask(ntag, "60") is None


def test_writes_and_what_cannot_be_written() -> None:
    ntag = card()
    assert ask(ntag, "A20411223344") == ACK
    assert data(ntag, "3A0404") == "11223344"
    assert ask(ntag, "A005AABBCCDD" + "00" * 12) == ACK
    assert data(ntag, "3A0505") == "AABBCCDD"
    for page in ("00", "01", "2D", "FF"):
        ntag.activate()
        assert ask(ntag, f"A2{page}11223344") == NAK


def test_one_time_bits_are_only_ever_set() -> None:
    ntag = card()
    assert ask(ntag, "A20300000001") == ACK
    assert data(ntag, "3A0303") == "E1101201"


def test_static_and_dynamic_lock_bits_hold() -> None:
    ntag = card()
    assert ask(ntag, "A20200001000") == ACK  # page 4
    assert ask(ntag, "A22801000000") == ACK  # pages 16 and 17
    assert ask(ntag, "A20500000000") == ACK
    assert ask(ntag, "A21200000000") == ACK
    for page in ("04", "10", "11"):
        ntag.activate()
        assert ask(ntag, f"A2{page}00000000") == NAK


def test_a_password_guards_writes_and_where_asked_reads() -> None:
    ntag = card()
    for page, content in (("2B", "01020304"), ("2C", "AABB0000"), ("2A", "80000000"), ("29", "04000004")):
        assert ask(ntag, f"A2{page}{content}") == ACK
    assert data(ntag, "3A0404") != ""
    ntag.activate()
    assert ask(ntag, "3004") == NAK
    ntag.activate()
    assert ask(ntag, "1B01020305") == NAK
    ntag.activate()
    assert data(ntag, "1B01020304") == "AABB"
    assert ask(ntag, "A20400000000") == ACK
    ntag.power_off()
    ntag.activate()
    assert ask(ntag, "A20400000000") == NAK


def test_authlim_ends_the_guessing() -> None:
    ntag = card()
    assert ask(ntag, "A22A02000000") == ACK
    for _ in range(2):
        ntag.activate()
        assert ask(ntag, "1B00000000") == NAK
    ntag.activate()
    assert ask(ntag, "1BFFFFFFFF") == NAK


def test_the_counter_is_read_where_it_is_enabled() -> None:
    ntag = card()
    assert ask(ntag, "A22A10000000") == ACK
    assert data(ntag, "3902") == "000000"
