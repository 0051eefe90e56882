"""The simulated PN532, asked frame by frame: the manual's examples, polls that wait, cards that come and go."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.wire import iso14443, pn532
from firmware_bridge.wire.pn532 import Ack, DataFrame, Decoder, ErrorFrame, Message

NTAG213 = "ntag213:04A1B2C3D4E580"
NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16
NDEF_APPLICATION = "00A4040007D276000085010100"


class Host:
    """Talks to a simulator with a clock of its own."""

    def __init__(self, card: str = "") -> None:
        self.now_ms = 1_000
        self.simulator = Pn532Simulator(card=card, dice=bytes)

    def send(self, data: bytes) -> list[Message]:
        return Decoder().feed(self.simulator.feed(data, now_ms=self.now_ms))

    def ask(self, command: str) -> str:
        """Return the answer's body as hex; the ACK before it is checked."""
        ack, answer = self.send(pn532.encode(DataFrame(0xD4, bytes.fromhex(command))))
        assert ack == Ack()
        assert isinstance(answer, DataFrame)
        assert answer.tfi == 0xD5
        return answer.body.hex().upper()

    def wait(self, command: str) -> None:
        """Send a command that is acknowledged and not yet answered."""
        assert self.send(pn532.encode(DataFrame(0xD4, bytes.fromhex(command)))) == [Ack()]

    def later(self, ms: int) -> list[Message]:
        self.now_ms += ms
        return Decoder().feed(self.simulator.tick(now_ms=self.now_ms))

    def do(self, line: str) -> int:
        return self.simulator.command(line.split(), now_ms=self.now_ms)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("0000FF02FED4022A00", "0000FF00FF00 0000FF06FAD50332010607E800"),
        ("0000FF05FBD4140100001700", "0000FF00FF00 0000FF02FED5151600"),
        ("0000FF04FCD44A0100E100", "0000FF00FF00 0000FF0FF1D54B01010044000704A1B2C3D4E5804000"),
    ],
)
def test_the_manuals_exchanges(command: str, answer: str) -> None:
    simulator = Pn532Simulator(card=NTAG213)
    assert simulator.feed(bytes.fromhex(command), now_ms=0) == bytes.fromhex(answer)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("00 00 010203", "01 00 010203"),
        ("00 01 00", "01 00"),
        ("00 06", "01 01"),
        ("04", "05 00000000"),
        ("06 6302 6303", "07 00 00"),
        ("08 6302 80", "09"),
        ("0C", "0D 3F0701"),
        ("0E 80 80", "0F"),
        ("10 04", "11"),
        ("12 00", "13"),
        ("16 30 00", "17 00"),
        ("32 05 FF01FF", "33"),
        ("40 01 3004", "41 27"),
        ("42 60", "43 01"),
        ("44 01", "45 00"),
        ("52 00", "53 00"),
        ("54 01", "55 27"),
    ],
)
def test_every_command_is_answered_in_an_empty_field(command: str, answer: str) -> None:
    assert Host().ask(command) == answer.replace(" ", "")


@pytest.mark.parametrize("command", ["", "99", "8C00", "4A", "60 00 01 10", "4A0300", "12", "32 01", "40", "00 55"])
def test_what_the_chip_does_not_know_gets_an_error_frame(command: str) -> None:
    assert Host().send(pn532.encode(DataFrame(0xD4, bytes.fromhex(command)))) == [Ack(), ErrorFrame()]


def test_registers_keep_what_is_written() -> None:
    host = Host()
    host.ask("08 6302 80 6303 01")
    assert host.ask("06 6303 6302 6305") == "07018000"


def test_a_poll_for_ever_waits_for_a_card() -> None:
    host = Host()
    host.wait("4A0100")
    assert host.simulator.due_ms() is None
    assert host.later(60_000) == []
    host.do(f"put {NTAG213}")
    assert host.later(1) == [DataFrame(0xD5, bytes.fromhex("4B01010044000704A1B2C3D4E580"))]
    assert host.later(1) == []


def test_a_poll_with_retries_gives_up_and_leaves_the_request_in_the_fifo() -> None:
    host = Host()
    host.ask("32 05 010002")
    host.wait("4A0100")
    assert host.simulator.due_ms() == 1_015
    assert host.later(14) == []
    assert host.later(1) == [DataFrame(0xD5, bytes.fromhex("4B00"))]
    assert host.ask("06 6339") == "0726"


@pytest.mark.parametrize("kind", ["01 00FFFF0100", "02 00FFFF0100", "03 00", "04"])
def test_other_kinds_of_cards_are_never_there(kind: str) -> None:
    host = Host(NTAG213)
    host.ask("32 05 010000")
    host.wait("4A01" + kind)
    assert host.later(5) == [DataFrame(0xD5, bytes.fromhex("4B00"))]


@pytest.mark.parametrize(
    ("card", "answer"),
    [(NTAG213, "61 01 10 0C 010044000704A1B2C3D4E580"), (NTAG424, "61 01 20 12 010344200704DE5F1EACC040067777710280")],
)
def test_auto_poll_as_nfc_poll_uses_it(card: str, answer: str) -> None:
    assert Host(card).ask("60 14 02 20 10 03 11 12 04") == answer.replace(" ", "")


FELICA = "felica:0114B34D0000AA01"


@pytest.mark.parametrize(
    ("poll", "answer"),
    [
        ("4A01 01 00FFFF0100", "4B 01 01 14 01 0114B34D0000AA01 00F0000002060300 88B4"),
        ("4A01 02 0088B40000", "4B 01 01 12 01 0114B34D0000AA01 00F0000002060300"),
        ("60 01 01 11", "61 01 11 13 01 12 01 0114B34D0000AA01 00F0000002060300"),
    ],
)
def test_a_felica_answers_a_polling_for_its_system(poll: str, answer: str) -> None:
    assert Host(FELICA).ask(poll) == answer.replace(" ", "")


@pytest.mark.parametrize("poll", ["00", "01 0012FC0000", "01", "03 00"])
def test_a_felica_is_silent_to_every_other_poll(poll: str) -> None:
    host = Host(FELICA)
    host.ask("32 05 010000")
    host.wait("4A01" + poll)
    assert host.later(5) == [DataFrame(0xD5, bytes.fromhex("4B00"))]


def test_a_felica_is_spoken_to_by_its_idm() -> None:
    host = Host(FELICA)
    host.ask("4A01 01 00FFFF0100")
    assert host.ask("40 01 0A04 0114B34D0000AA01") == "4100" + "0B05" + "0114B34D0000AA01" + "00"
    assert host.ask("42 0A0C 0114B34D0000AA01") == "4300" + "0D0D" + "0114B34D0000AA01" + "0188B4"
    assert host.ask("42 1006 0114B34D0000AA01 010B00018000") == "4300" + "0C07" + "0114B34D0000AA01" + "FFA6"
    assert host.ask("42 0600FFFF0000") == "4300" + "1201" + "0114B34D0000AA01" + "00F0000002060300"
    for silent in ("0A04 0000000000000000", "0904 0114B34D0000AA01", "0A77 0114B34D0000AA01", "06"):
        assert host.ask("42" + silent) == "4301"


@pytest.mark.parametrize(
    ("card", "target"),
    [
        ("classic1k:DEADBEEF", "0004 08 04 DEADBEEF"),
        ("classic4k:DEADBEEF", "0002 18 04 DEADBEEF"),
        ("classic1k:04A1B2C3D4E580", "0044 08 07 04A1B2C3D4E580"),
        ("ultralight:04A1B2C3D4E580", "0044 00 07 04A1B2C3D4E580"),
        ("payment:44112233", "0344 20 04 44112233 067777710280"),
    ],
)
def test_other_cards_say_what_they_are(card: str, target: str) -> None:
    assert Host(card).ask("4A0100") == "4B0101" + target.replace(" ", "")


def test_a_classic_is_read_and_written_where_its_sector_is_open() -> None:
    host = Host("classic1k:DEADBEEF")
    host.ask("4A0100")
    assert host.ask("40 01 30 04") == "4101"
    assert host.ask("40 01 60 04 FFFFFFFFFFFF DEADBEEF") == "4100"
    assert host.ask("40 01 A0 05" + "11" * 16) == "4100"
    assert host.ask("40 01 30 05") == "4100" + "11" * 16
    assert host.ask("40 01 30 08") == "4113"  # another sector
    assert host.ask("40 01 30 05") == "4101"  # and this one is shut again
    host.ask("4A0100")
    assert host.ask("40 01 61 04 000000000000 DEADBEEF") == "4114"


def test_a_payment_card_writes_down_who_asks_for_it() -> None:
    host = Host("payment:44112233")
    host.ask("4A0100")
    assert host.ask("4001" + NDEF_APPLICATION) == "4100" + "6A82"
    assert host.simulator.status()["payment_selects"] == 0
    for asked in ("0E325041592E5359532E4444463031", "07A0000000031010", "05A000000003", "00"):
        assert host.ask("4001" + "00A40400" + asked + "00").endswith("9000")
    assert host.simulator.status()["payment_selects"] == 4


def test_auto_poll_ends_after_its_rounds() -> None:
    host = Host()
    host.wait("60 02 01 10")
    assert host.later(299) == []
    assert host.later(1) == [DataFrame(0xD5, bytes.fromhex("6100"))]


def test_the_hosts_ack_aborts_a_poll() -> None:
    host = Host()
    host.wait("4A0100")
    assert host.send(pn532.ACK) == []
    host.do(f"put {NTAG213}")
    assert host.later(10) == []


def test_a_new_command_ends_a_poll_without_a_stale_answer() -> None:
    host = Host()
    host.wait("4A0100")
    assert host.ask("02") == "0332010607"
    host.do(f"put {NTAG213}")
    assert host.later(10) == []


def test_a_nack_repeats_the_last_answer() -> None:
    host = Host()
    host.ask("02")
    assert host.send(pn532.NACK) == [DataFrame(0xD5, bytes.fromhex("0332010607"))]


@pytest.mark.parametrize(
    ("wanted", "found"), [("8804A1B2C3D4E580", True), ("04A1B2C3D4E580", True), ("8804A1B2C3D4E581", False)]
)
def test_a_poll_for_one_uid_finds_that_card_only(wanted: str, found: bool) -> None:  # noqa: FBT001 - expected value
    host = Host(NTAG213)
    answer = host.send(pn532.encode(DataFrame(0xD4, bytes.fromhex("4A0100" + wanted))))
    assert len(answer) == (2 if found else 1)


def test_a_card_that_leaves_in_mid_exchange_is_status_01_until_it_is_activated_again() -> None:
    host = Host()
    assert host.do(f"tap {NTAG213} for 100ms") == 100
    host.ask("4A0100")
    assert host.ask("40 01 A20401020304") == "4100"
    host.now_ms += 100
    assert host.ask("40 01 A20501020304") == "4101"
    host.do(f"put {NTAG213}")
    assert host.ask("40 01 3004") == "4101"
    host.ask("4A0100")
    assert host.ask("40 01 3004")[:12] == "410001020304"


def test_field_off_takes_the_target_away() -> None:
    host = Host(NTAG213)
    host.ask("4A0100")
    host.ask("32 01 02")
    assert host.ask("40 01 3004") == "4127"


def test_classic_authentication_fails_on_an_ntag() -> None:
    host = Host(NTAG213)
    host.ask("4A0100")
    assert host.ask("40 01 60 04 FFFFFFFFFFFF 04A1B2C3") == "4114"


def test_the_chip_adds_and_checks_the_crc_where_its_registers_say_so() -> None:
    host = Host(NTAG213)
    host.ask("4A0100")
    version = bytes.fromhex("0004040201000F03")
    assert host.ask("42 60") == "4300" + version.hex().upper()
    host.ask("08 6303 00")
    assert host.ask("42 60") == "4300" + (version + iso14443.crc_a(version)).hex().upper()
    assert host.ask("42 A20411223344") == "43000A"
    host.ask("08 6302 00")
    assert host.ask("42" + (b"\x60" + iso14443.crc_a(b"\x60")).hex())[:4] == "4300"
    assert host.ask("42 600000") == "4301"


def test_four_bit_answers_are_a_crc_error_to_a_chip_that_checks() -> None:
    host = Host(NTAG213)
    host.ask("4A0100")
    assert host.ask("42 A20411223344") == "4302"


def test_the_chip_speaks_iso_dep_after_automatic_rats() -> None:
    host = Host(NTAG424)
    assert host.ask("4A0100") == "4B01010344200704DE5F1EACC040067777710280"
    assert host.ask("40 01" + NDEF_APPLICATION) == "41009000"
    assert host.ask("40 41 00A4") == "4100"
    assert host.ask("40 01 000C02E104") == "41009000"
    content = bytes.fromhex(host.ask("40 01 00B0000000"))
    assert len(content) == 2 + 256 + 2
    assert b"uid=04DE5F1EACC040&ctr=000001&mac=" in content


def test_libnfc_asks_a_card_whether_it_is_still_there_by_a_raw_block() -> None:
    host = Host(NTAG424)
    host.ask("4A0100")
    assert host.ask("42 B2") == "4300A3"
    host.do("remove")
    assert host.ask("42 B2") == "4301"


def test_without_automatic_rats_there_is_no_ats_and_the_host_sends_it() -> None:
    host = Host(NTAG424)
    host.ask("12 00")
    assert host.ask("4A0100") == "4B01010344200704DE5F1EACC040"
    assert host.ask("42 E080") == "4300067777710280"
    assert host.ask("42 02" + NDEF_APPLICATION) == "4300029000"


def test_a_line_that_says_nothing_sensible_costs_only_noise() -> None:
    host = Host()
    assert host.send(b"\x13\x37" * 50) == []
    assert host.ask("02") == "0332010607"
    assert host.simulator.status()["noise_bytes"] == 100


def test_an_answer_frame_from_the_host_is_a_syntax_error() -> None:
    assert Host().send(pn532.encode(DataFrame(0xD5, b"\x02"))) == [ErrorFrame()]


def test_status_counts_taps() -> None:
    host = Host()
    host.do(f"tap {NTAG213} for 1s")
    host.ask("4A0100")
    assert host.simulator.status() == {
        "taps": 1, "activations": 1, "card_in_field": True, "noise_bytes": 0, "payment_selects": 0
    }  # fmt: skip
    host.later(1_000)
    assert host.simulator.status()["card_in_field"] is False


def test_a_second_card_needs_a_free_field() -> None:
    host = Host()
    host.do(f"tap {NTAG213} for 100ms")
    with pytest.raises(ScriptError, match="still in the field"):
        host.do(f"put {NTAG424}")
    host.now_ms += 100
    host.do(f"put {NTAG424}")
    host.do("remove")
    host.do(f"put {NTAG213}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dance", "expected tap CARD for TIME"),
        ("tap", "expected tap CARD for TIME"),
        (f"tap {NTAG213} for ever", "'ever' is not a time"),
        ("put ntag213", "is not known: write ntag424:UID:KEY"),
        ("put ntag213:04A1", "is not known"),
        (f"put {NTAG213}:00", "is not known"),
        ("put ntag424:04DE5F1EACC040", "is not known"),
        ("put blank424:04DE5F1EACC040:" + "00" * 16, "is not known"),
        ("put felica:04DE5F1EACC040", "is not known"),
        ("put classic1k:04DE5F1EACC0", "is not known"),
        ("put ntag424:04DE5F1EACC040:00", "is not known"),
        (f"put {NTAG424}:ten", "is not known"),
        (f"put {NTAG424}:16777216", "is not known"),
        ("put mifare:04A1B2C3", "is not known"),
        ("put ntag213:04A1B2C3D4E58G", "is not known"),
    ],
)
def test_a_bad_line_says_what_was_expected(line: str, says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        Host().do(line)


def test_a_card_on_the_command_line_is_checked_too() -> None:
    with pytest.raises(ScriptError, match="is not known"):
        Pn532Simulator(card="ntag213:nonsense")


def test_a_card_keeps_its_memory_and_counter_between_taps_and_a_counter_can_be_set() -> None:
    host = Host()
    read = ["4A0100", "4001" + NDEF_APPLICATION, "400100A4000C02E104", "400100B0000080"]

    def counter(card: str) -> bytes:
        host.do(f"put {card}")
        content = bytes.fromhex([host.ask(command) for command in read][-1])
        host.do("remove")
        return content[content.index(b"ctr=") + 4 :][:6]

    assert [counter(NTAG424), counter(NTAG424)] == [b"000001", b"000002"]
    assert [counter(NTAG424 + ":61"), counter(NTAG424)] == [b"00003E", b"00003F"]


def test_a_rehearsal_on_a_copy_leaves_the_device_alone() -> None:
    host = Host()
    rehearsal = copy.deepcopy(host.simulator)
    rehearsal.command(["put", NTAG213], now_ms=0)
    assert host.simulator.status()["card_in_field"] is False
    host.wait("4A0100")


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_no_command_raises(bodies: list[bytes]) -> None:
    host = Host(NTAG424)
    for body in bodies:
        host.send(pn532.encode(DataFrame(0xD4, body)))
        host.later(3)
    assert host.ask("02") == "0332010607"
