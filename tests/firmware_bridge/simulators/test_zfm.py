"""The simulated fingerprint modules: what each model answers, to whom, and in how many bytes."""

import pytest

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.simulators.zfm_module import MODELS, Other
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Ask, Decoder, Packet, PacketKind, Ready, question


def asked(simulator: ZfmSimulator, ask: int, data: str = "", *, address: int = zfm.ANY_ADDRESS) -> bytes:
    """Ask and return all bytes of the answer."""
    sent = simulator.feed(zfm.encode(Packet(PacketKind.COMMAND, bytes([ask]) + bytes.fromhex(data), address)), now_ms=0)
    return sent + simulator.tick(now_ms=100_000)


def code(answer: bytes) -> int:
    """Return the confirmation code of an answer."""
    return answer[9]


def told(simulator: ZfmSimulator, *lines: str) -> None:
    """Carry out script lines."""
    for line in lines:
        simulator.command(line.split(), now_ms=0)


def enrolled(simulator: ZfmSimulator) -> ZfmSimulator:
    """Lay on a finger and enroll it under page 4 as a host does."""
    told(simulator, "finger li")
    for ask, data in ((1, ""), (2, "01"), (1, ""), (2, "02"), (5, ""), (6, "010004")):
        assert code(asked(simulator, ask, data)) == 0
    return simulator


def test_no_finger_and_a_match_as_in_the_manual():
    simulator = ZfmSimulator()
    assert asked(simulator, Ask.IMAGE) == bytes.fromhex("EF01FFFFFFFF07000302000C")
    enrolled(simulator)
    asked(simulator, Ask.FEATURES, "01")
    assert asked(simulator, Ask.SEARCH, "01000000C8") == bytes.fromhex("EF01FFFFFFFF070007 0000040078 008A")
    assert asked(simulator, Ask.SEARCH, "01000500C8") == bytes.fromhex("EF01FFFFFFFF0700070900000000 0017")


@pytest.mark.parametrize("model", MODELS)
def test_answers_have_the_sizes_that_hosts_wait_for(model):
    simulator = ZfmSimulator(model)
    told(simulator, "finger li")
    asked(simulator, Ask.IMAGE)
    for buffer in ("01", "02"):
        asked(simulator, Ask.FEATURES, buffer)
    sizes = {Ask.SEARCH: 16, Ask.QUICK_SEARCH: 16, Other.MATCH: 14, Ask.PARAMETERS: 28, Other.COUNT: 14, Ask.INDEX: 44}
    for ask, size in sizes.items():
        assert len(asked(simulator, ask, "0100000001")) == size
    told(simulator, "finger an")
    asked(simulator, Ask.IMAGE)
    asked(simulator, Ask.FEATURES, "02")
    assert len(asked(simulator, Other.MATCH)) == 14
    assert zfm.read_parameters(asked(simulator, Ask.PARAMETERS)[10:]).capacity == MODELS[model].capacity


def test_what_only_an_r503_knows():
    for ask, data in ((Ask.LIGHT, "01640200"), (Ask.PRODUCT, ""), (Other.SOFT_RESET, "")):
        assert code(asked(ZfmSimulator("r503"), ask, data)) == 0
        assert code(asked(ZfmSimulator("r307"), ask, data)) == 1
    assert code(asked(ZfmSimulator("r503"), 0x77)) == 0xFC
    assert Decoder().feed(asked(ZfmSimulator(), Other.SOFT_RESET))[1:] == [Ready()]
    assert code(asked(ZfmSimulator(), Other.ECHO)) == 0x55


def test_a_template_travels_out_and_back_in():
    simulator = enrolled(ZfmSimulator("as608"))
    asked(simulator, Other.LOAD, "010004")
    ack, *parts = Decoder().feed(asked(simulator, Other.SEND_TEMPLATE, "01"))
    assert ack.data == b"\0"
    assert [part.kind for part in parts] == [PacketKind.DATA] * 3 + [PacketKind.LAST_DATA]
    other = ZfmSimulator("as608")
    assert code(asked(other, Other.TAKE_TEMPLATE, "02")) == 0
    for part in parts:
        assert other.feed(zfm.encode(part), now_ms=0) == b""
    told(other, "finger li")
    asked(other, Ask.IMAGE)
    asked(other, Ask.FEATURES, "01")
    assert code(asked(other, Other.MATCH)) == 0
    assert (simulator.status()["uploads"], other.status()["uploads"]) == (1, 0)


def test_an_image_travels_in_packets_of_the_chosen_size():
    simulator = ZfmSimulator("r307")
    assert code(asked(simulator, Other.SEND_IMAGE)) == 0x0F
    told(simulator, "finger li")
    asked(simulator, Ask.IMAGE)
    asked(simulator, Other.SET_PARAMETER, "0603")
    parts = Decoder().feed(asked(simulator, Other.SEND_IMAGE))[1:]
    assert {len(part.data) for part in parts} == {256}
    assert sum(len(part.data) for part in parts) == 36_864


def test_deleting_clears_the_bit_in_the_index():
    simulator = enrolled(ZfmSimulator())
    assert zfm.read_index(asked(simulator, Ask.INDEX, "00")[10:42], table=0) == {4}
    assert code(asked(simulator, Ask.DELETE, "00040001")) == 0
    assert zfm.read_index(asked(simulator, Ask.INDEX, "00")[10:42], table=0) == set()
    assert code(asked(simulator, Ask.DELETE, "00C80001")) == 0x10
    assert code(asked(simulator, Ask.STORE, "0100C8")) == 0x0B
    assert code(asked(simulator, Other.LOAD, "010009")) == 0x0C


def test_the_password_comes_first_and_survives_a_power_cut():
    simulator = ZfmSimulator()
    assert code(asked(simulator, Other.SET_PASSWORD, "00000001")) == 0
    told(simulator, "reset")
    assert code(asked(simulator, Ask.IMAGE)[1:]) == 0x21
    assert code(asked(simulator, Ask.PASSWORD, "00000000")) == 0x13
    assert code(asked(simulator, Ask.PASSWORD, "00000001")) == 0
    assert code(asked(simulator, Ask.IMAGE)) == 2


def test_only_its_own_address_is_answered():
    simulator = ZfmSimulator()
    assert asked(simulator, Ask.IMAGE, address=7) == b""
    assert code(asked(simulator, Other.SET_ADDRESS, "00000007")) == 0
    assert code(asked(simulator, Ask.IMAGE, address=7)) == 2


def test_the_notepad_keeps_32_bytes_per_page():
    simulator = ZfmSimulator("zfm20")
    text = b"abc".ljust(32, b"\0").hex()
    assert code(asked(simulator, Ask.WRITE_NOTEPAD, "0F" + text)) == 0
    assert asked(simulator, Ask.READ_NOTEPAD, "0F")[10:42].hex() == text
    assert code(asked(simulator, Ask.READ_NOTEPAD, "10")) == 0x1C


def test_questions_without_their_bytes_and_of_buffers_that_are_empty():
    simulator = ZfmSimulator()
    assert code(asked(simulator, Ask.FEATURES, "01")) == 0x15
    assert code(asked(simulator, Ask.SEARCH, "01000000C8")) == 1
    assert code(asked(simulator, Ask.READ_NOTEPAD)) == 1


def test_a_script_makes_a_line_bad():
    simulator = ZfmSimulator()
    told(simulator, "spoil 1")
    assert asked(simulator, Ask.IMAGE)[-1] == 0x0C ^ 0xFF
    told(simulator, "cut 1")
    assert len(asked(simulator, Ask.IMAGE)) == 6
    told(simulator, "double 1")
    assert len(asked(simulator, Ask.IMAGE)) == 24
    told(simulator, "drip 20ms")
    assert simulator.feed(question(Ask.IMAGE), now_ms=0) == b""
    assert [simulator.tick(now_ms=20 * at) for at in range(1, 13)] == [bytes([byte]) for byte in asked_once()]
    told(simulator, "drip 0ms", "silence 1s")
    assert asked(simulator, Ask.IMAGE) == b""


def asked_once() -> bytes:
    """No finger."""
    return asked(ZfmSimulator(), Ask.IMAGE)


@pytest.mark.parametrize("line", ["dance", "finger", "finger li much", "stored li 200", "spoil -1", "noise xy"])
def test_a_bad_line_is_refused(line):
    with pytest.raises(ScriptError):
        told(ZfmSimulator(), line)


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(ScriptError, match="is no fingerprint module; there are r503, r307, as608, zfm20"):
        ZfmSimulator("r999")
