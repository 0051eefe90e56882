"""The simulated coin acceptor as a host's bytes see it; requests and answers are written out."""

import pytest

from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.cctalk import Decoder, Frame, Header, encode

ACK = Frame(1, 2, 0)
NAK = Frame(1, 2, 5)


class Bench:
    """A simulator and a clock that only moves when told."""

    def __init__(self, **options: object) -> None:
        self.device = CctalkAcceptorSimulator(**options)
        self.now_ms = 1_000

    def ask(self, header: int, data: bytes = b"") -> Frame | None:
        """Return the answer to a request with the simple checksum."""
        raw = self.device.feed(encode(Frame(2, 1, header, data), checksum="simple"), now_ms=self.now_ms)
        frames = Decoder("simple").feed(raw)
        return frames[-1] if frames else None

    def say(self, line: str) -> None:
        """Carry out a script line now."""
        assert self.device.command(line.split(), now_ms=self.now_ms) == 0

    def credit(self) -> str:
        """Return the data of an answer to 229 in hex."""
        return self.ask(Header.BUFFERED_CREDIT).data.hex()

    def open_gate(self) -> None:
        """Poll once and accept all positions."""
        self.credit()
        assert self.ask(Header.MODIFY_INHIBITS, b"\xff\xff") == ACK


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        ("020001F508", "010D0200436F696E204163636570746F7216"),  # the manual's own example
        ("020001F20B", "010302004E61BC8F"),  # serial number 12345678
        ("020001FEFF", "01000200FD"),
        ("020001E518", "010B02000000000000000000000000F2"),
    ],
)
def test_the_manuals_requests(request_hex, answer_hex):
    assert CctalkAcceptorSimulator().feed(bytes.fromhex(request_hex), now_ms=0).hex().upper() == answer_hex


@pytest.mark.parametrize(
    ("header", "data", "answer"),
    [
        (246, b"", b"VHB"),
        (244, b"", b"SIM16"),
        (241, b"", b"1.0"),
        (192, b"", b"STD"),
        (4, b"", b"\1\4\7"),
        (248, b"", b"\0"),
        (232, b"", b"\0"),
        (249, b"", b"\2\x14"),
        (184, b"\1", b"CN010A"),
        (184, b"\x10", b"......"),
        (227, b"", b"\1"),
        (230, b"", b"\0\0"),
        (209, b"\3", b"\1"),
        (225, b"", b"\0\0\0"),
        (226, b"", b"\0\0\0"),
    ],
)
def test_what_it_says_after_power_up(header, data, answer):
    assert Bench().ask(header, data) == Frame(1, 2, 0, answer)


@pytest.mark.parametrize(
    ("header", "data"), [(3, b""), (254, b"x"), (231, b"\xff"), (228, b""), (184, b"\0"), (184, b"\x11"), (210, b"\1")]
)
def test_unknown_headers_and_wrong_lengths_get_a_nak(header, data):
    assert Bench().ask(header, data) == NAK


def test_coins_inhibits_and_counters():
    bench = Bench()
    bench.credit()
    bench.say("coin 5")  # all positions are inhibited after power-up
    assert bench.credit() == "01008400000000000000" + "00"
    bench.ask(Header.MODIFY_INHIBITS, b"\x10\x00")
    bench.say("coin 5")
    assert bench.credit() == "02050100840000000000" + "00"
    bench.ask(Header.MODIFY_MASTER_INHIBIT, b"\0")
    bench.say("coin 5")
    assert bench.credit() == "03000205010084000000" + "00"
    assert bench.ask(Header.ACCEPT_COUNTER).data == b"\1\0\0"
    assert bench.ask(Header.INSERTION_COUNTER).data == b"\3\0\0"
    assert bench.device.status() == {
        "coins_inserted": 1,
        "coins_by_position": {"5": 1},
        "coins_given_back": 2,
        "event_counter": 3,
        "resets": 0,
    }


def test_nobody_polls_no_coin_is_taken():
    bench = Bench()
    bench.open_gate()
    bench.now_ms += 1_000
    bench.say("coin 1")
    bench.now_ms += 1
    bench.say("coin 1")
    assert (bench.device.status()["coins_inserted"], bench.device.status()["coins_given_back"]) == (1, 1)
    patient = Bench(needs_polling=False)
    patient.ask(Header.MODIFY_INHIBITS, b"\xff\xff")
    patient.say("coin 1")
    assert patient.device.status()["coins_inserted"] == 1


def test_the_counter_goes_from_255_to_1_and_a_reset_forgets_all():
    bench = Bench()
    bench.say("lose 256")
    assert bench.credit() == "01" + "0101" * 5
    bench.ask(Header.MODIFY_INHIBITS, b"\xff\xff")
    assert bench.ask(Header.RESET) == ACK
    assert bench.credit() == "00" * 11
    assert bench.ask(Header.REQUEST_INHIBITS).data == b"\0\0"
    assert bench.device.status()["coins_inserted"] == 256
    assert bench.device.status()["resets"] == 1


def test_sorter_paths_are_kept():
    bench = Bench()
    bench.open_gate()
    assert bench.ask(Header.MODIFY_SORTER_PATHS, b"\5\4") == ACK
    assert bench.ask(Header.REQUEST_SORTER_PATHS, b"\5").data == b"\4"
    bench.say("coin 5")
    assert bench.credit().startswith("010504")


def test_an_address_poll_is_answered_after_four_ms_per_address():
    bench = Bench()
    assert bench.ask(Header.ADDRESS_POLL) is None
    assert bench.device.due_ms() == 1_008
    assert bench.device.tick(now_ms=1_007) == b""
    assert bench.device.tick(now_ms=1_008) == b"\2"
    assert bench.device.due_ms() is None


def test_silence_noise_echo_and_other_addresses():
    bench = Bench(echo=True)
    request = encode(Frame(2, 1, 254), checksum="simple")
    assert bench.device.feed(request, now_ms=1_000) == request + encode(ACK, checksum="simple")
    other = encode(Frame(3, 1, 254), checksum="simple")
    assert bench.device.feed(other, now_ms=1_000) == other
    bench.say("silence 100ms")
    assert bench.device.feed(request, now_ms=1_099) == request
    assert bench.device.feed(request, now_ms=1_100) != request
    bench.say("noise 00ff13")
    assert bench.device.tick(now_ms=1_100) == bytes.fromhex("00ff13")


def test_the_crc_form():
    device = CctalkAcceptorSimulator(checksum="crc", address=40)
    answer = device.feed(bytes.fromhex("2800B6FE21"), now_ms=0)
    assert Decoder("crc").feed(answer) == [Frame(1, None, 0)]


def test_half_a_request_is_forgotten_after_a_pause():
    device = CctalkAcceptorSimulator()
    request = encode(Frame(2, 1, 254), checksum="simple")
    assert device.feed(request[:3], now_ms=0) == b""
    assert device.feed(request, now_ms=51) == encode(ACK, checksum="simple")


@pytest.mark.parametrize("line", ["coin", "coin 17", "coin x", "lose 0", "noise 0", "noise zz", "silence", "dance"])
def test_a_line_that_cannot_be_carried_out_says_so(line):
    with pytest.raises(ScriptError, match="is not a"):
        Bench().say(line)
