"""The codecs that `venuehub bench wire` measures: frames as the wire carries them, and what such a line begins with."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from firmware_bridge.wire import cctalk, companion, gm65, hid_keys, hlk_fm22x, line_frames, pn532, qibixx, ssp, zfm


class Codec(Protocol):
    """Bytes in, a list of values out."""

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes as they came."""


class Line(NamedTuple):
    """One codec. `start`: what a scan of the same bytes looks for; `baud`: bits per second, ten of them to a byte."""

    make: Callable[[], Codec]
    frames: tuple[bytes, ...]
    start: bytes
    baud: int


def _frames(*texts: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)


_CCTALK = _frames("02 00 01 E5 18", "01 0B 02 00 06 06 04 00 14 00 17 06 04 0D 02 9E", "01 00 02 00 FD")
_CRC = tuple(cctalk.encode(cctalk.Frame(frame[0], None, frame[3], frame[4:-1]), checksum="crc") for frame in _CCTALK)
CODECS: dict[str, Line] = {
    "cctalk": Line(lambda: cctalk.Decoder("simple"), _CCTALK, b"\x01", 9_600),
    "cctalk_crc": Line(lambda: cctalk.Decoder("crc"), _CRC, b"\x01", 9_600),
    "companion": Line(
        companion.Decoder,
        (
            companion.encode(companion.Frame(1, companion.Kind.IDLE, 3, bytes(8))),
            companion.encode(companion.Frame(1, companion.Kind.EVENT, 3, bytes(16) + b"\x01\x01")),
        ),
        b"\x7e",
        115_200,
    ),
    "gm65": Line(gm65.Decoder, (gm65.encode_answer(gm65.Answer(b"\x39")), b"VH1:ABCDEF0123456789\r"), b"\r", 9_600),
    "gm65_host": Line(gm65.CommandDecoder, (gm65.encode(gm65.read(gm65.SETTINGS)),), b"\x7e", 9_600),
    "hid_keys": Line(hid_keys.Decoder, (hid_keys.typed("0004123456"),), b"\x01\x00", 115_200),
    "hlk_fm22x": Line(hlk_fm22x.Decoder, _frames("EF AA 00 00 02 12 08 18", "EF AA 01 00 01 00 00"), b"\xef", 115_200),
    "line_frames": Line(line_frames.FrameDecoder, (b'{"line":"coin","level":0,"at_ns":81234}\n',), b"\n", 115_200),
    "pn532": Line(
        pn532.Decoder,
        _frames("00 00 FF 00 FF 00", "00 00 FF 0F F1 D5 4B 01 01 00 44 00 07 04 A1 B2 C3 D4 E5 80 40 00"),
        b"\x00\xff",
        115_200,
    ),
    "qibixx": Line(qibixx.Decoder, (b"c,STATUS,VEND,1.00,5\r\n", b"c,VEND,SUCCESS\r\n", b"p,5105\r\n"), b"\n", 115_200),
    "qibixx_host": Line(qibixx.Lines, (b"C,VEND,1.00\n", b"R,0B\n"), b"\n", 115_200),
    "ssp": Line(
        ssp.Decoder,
        tuple(
            ssp.encode(ssp.Packet(0, sequence=turn, data=data)) for turn, data in ((False, b"\x07"), (True, b"\xf0"))
        ),
        b"\x7f",
        9_600,
    ),
    "zfm": Line(
        zfm.Decoder,
        _frames("EF 01 FF FF FF FF 07 00 03 00 00 0A", "EF 01 FF FF FF FF 07 00 07 00 00 01 00 64 00 73"),
        b"\xef",
        57_600,
    ),
}
