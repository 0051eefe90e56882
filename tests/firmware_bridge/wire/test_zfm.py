"""Fingerprint packets: the manual's bytes, every cutting of the line, noise, and answers that cannot be answers."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Ask, Decoder, Match, Packet, PacketKind, Ready, Reply, encode, question, read_reply
from tests.support.flood import flood

packets = st.builds(
    Packet,
    kind=st.sampled_from(PacketKind),
    data=st.binary(min_size=1, max_size=zfm.MAX_DATA_BYTES),
    address=st.integers(0, 0xFFFFFFFF),
)
NO_FINGER = Packet(PacketKind.ACK, b"\x02")
MATCH = Packet(PacketKind.ACK, bytes.fromhex("0000070078"))

# R503 manual, chapter V (VfyPwd, TempleteNum), and exchanges of another implementation with its module.
VECTORS = [
    ("EF01FFFFFFFF010007130000000000 1B", Packet(PacketKind.COMMAND, bytes.fromhex("1300000000"))),
    ("EF01FFFFFFFF07000300000A", Packet(PacketKind.ACK, b"\x00")),
    ("EF01FFFFFFFF01000301 0005", Packet(PacketKind.COMMAND, b"\x01")),
    ("EF01FFFFFFFF07000302 000C", NO_FINGER),
    ("EF01FFFFFFFF0100040201 0008", Packet(PacketKind.COMMAND, b"\x02\x01")),
    ("EF01FFFFFFFF010008 0401000000C8 00D6", Packet(PacketKind.COMMAND, bytes.fromhex("0401000000C8"))),
    ("EF01FFFFFFFF070007 0000070078 008D", MATCH),
    ("EF01FFFFFFFF070007 0900000000 0017", Packet(PacketKind.ACK, bytes.fromhex("0900000000"))),
    ("EF01FFFFFFFF0100031D 0021", Packet(PacketKind.COMMAND, b"\x1d")),
]


@pytest.mark.parametrize(("text", "packet"), VECTORS)
def test_the_manuals_bytes(text, packet):
    assert encode(packet) == bytes.fromhex(text)
    assert Decoder().feed(bytes.fromhex(text)) == [packet]


def test_questions_of_the_manual():
    assert question(Ask.PASSWORD, zfm.NO_PASSWORD) == bytes.fromhex(VECTORS[0][0])
    assert question(Ask.SEARCH, bytes.fromhex("01000000C8")) == bytes.fromhex(VECTORS[5][0])


@given(packet=packets)
def test_round_trip(packet):
    assert Decoder().feed(encode(packet)) == [packet]


@given(sent=st.lists(packets, max_size=4), data=st.data())
def test_any_cutting_of_the_stream(sent, data):
    stream = b"".join(encode(packet) for packet in sent)
    decoder, found = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == sent
    assert not decoder.pending
    assert decoder.silence() == []
    assert decoder.noise_bytes == 0


def accounted(found, decoder) -> int:
    """Bytes in packets and thrown away; bytes 55 are counted apart."""
    return sum(len(encode(item)) for item in found if isinstance(item, Packet)) + decoder.noise_bytes


@given(chunks=st.lists(st.binary(max_size=300), max_size=5))
def test_no_byte_string_raises_and_every_byte_is_accounted_for(chunks):
    decoder, found = Decoder(), []
    for chunk in chunks:
        found += decoder.feed(chunk.replace(b"\x55", b"\x56"))
    found += decoder.silence()
    assert accounted(found, decoder) == sum(map(len, chunks))
    assert not decoder.pending


@given(noise=st.binary(min_size=1, max_size=60))
def test_a_packet_behind_noise_and_a_silence_is_found(noise):
    decoder = Decoder()
    decoder.feed(noise)
    decoder.silence()
    assert decoder.feed(encode(MATCH)) == [MATCH]


@given(noise=st.binary(min_size=1, max_size=60))
def test_a_packet_right_behind_noise_is_found_when_the_line_falls_silent(noise):
    by_chance = Decoder()
    assume(not any(isinstance(item, Packet) for item in by_chance.feed(noise + encode(MATCH)[:-1])))
    decoder = Decoder()
    assert MATCH in decoder.feed(noise + encode(MATCH)) + decoder.silence()


@pytest.mark.parametrize("at", range(6, 16))
def test_a_wrong_checksum_is_no_packet_and_the_next_one_is_found(at):
    raw = bytearray(encode(MATCH))
    raw[at] ^= 0x20
    decoder = Decoder()
    found = decoder.feed(bytes(raw)) + decoder.silence() + decoder.feed(encode(NO_FINGER))
    assert found == [NO_FINGER]
    assert decoder.noise_bytes == len(raw)


def test_a_module_that_gets_power_says_so_between_packets():
    decoder = Decoder()
    assert decoder.feed(b"\x55" + encode(NO_FINGER)) == [Ready(), NO_FINGER]
    assert decoder.feed(b"\x00\x55\xef") == [Ready()]
    assert decoder.silence() == []
    assert decoder.noise_bytes == 2


def test_it_stands_in_a_flood():
    flood(Decoder, [encode(MATCH), encode(NO_FINGER), encode(Packet(PacketKind.LAST_DATA, bytes(256)))])


def test_a_packet_that_cannot_be_is_refused_by_name():
    for data in (b"", bytes(257)):
        with pytest.raises(ValueError, match="carries 1 to 256 bytes"):
            encode(Packet(PacketKind.ACK, data))


def test_an_answer_has_the_size_of_its_question():
    assert read_reply(Ask.SEARCH, MATCH) == Reply(0, bytes.fromhex("00070078"))
    assert read_reply(Ask.SEARCH, Packet(PacketKind.ACK, b"\x00")) is None  # an ok without a page is no match
    assert read_reply(Ask.SEARCH, Packet(PacketKind.ACK, b"\x01")) == Reply(1)
    assert read_reply(Ask.IMAGE, MATCH) is None
    assert read_reply(Ask.IMAGE, NO_FINGER) == Reply(zfm.NO_FINGER)
    assert read_reply(Ask.IMAGE, Packet(PacketKind.LAST_DATA, b"\x00")) is None
    for size in (46, 50):
        assert read_reply(Ask.PRODUCT, Packet(PacketKind.ACK, bytes(1 + size))) is not None
    assert read_reply(Ask.PRODUCT, Packet(PacketKind.ACK, bytes(48))) is None


def test_what_answers_mean():
    assert zfm.read_match(bytes.fromhex("00070078")) == Match(page=7, score=120)
    parameters = bytes.fromhex("0000 0000 00C8 0003 FFFFFFFF 0002 0006")
    assert zfm.read_parameters(parameters) == zfm.Parameters(capacity=200, security=3, size=2, speed=6)
    product = b"R503".ljust(16, b"\0") + b"2021" + b"AB123456" + b"\x01\x02" + bytes(16)
    assert zfm.product_serial(product) == "AB123456"
    assert zfm.product_model(product) == "R503 1.2"
    assert zfm.printable(b"\xffAB") == ""
    assert zfm.printable(b" AB \0CD") == "AB"


@given(pages=st.sets(st.integers(0, 1023)))
def test_index_tables(pages):
    found = set()
    for table in range(4):
        found |= zfm.read_index(zfm.pack_index(pages, table=table), table=table)
    assert found == pages


def test_the_lowest_bit_of_the_first_byte_is_the_first_page():
    assert zfm.read_index(bytes([0x81, 0x01]) + bytes(30), table=1) == {256, 263, 264}


def test_nothing_here_can_ask_for_an_image_or_a_template():
    moving = {0x07, 0x08, 0x09, 0x0A, 0x0B}  # LoadChar, UpChar, DownChar, UpImage, DownImage
    assert not moving & set(Ask)
