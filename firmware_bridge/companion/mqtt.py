"""As much MQTT 3.1.1 as a board needs: quality 0, packets out, and packets found in what a socket brings."""

CONNACK, PUBLISH, SUBACK = 2, 3, 9
PING = b"\xc0\x00"
LONGEST = 4_096
"""A longer packet is none of ours: the connection is given up."""


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(head: int, body: bytes) -> bytes:
    out, left = bytearray([head]), len(body)
    while True:
        left, seven = left >> 7, left & 0x7F
        out.append(seven | 0x80 if left else seven)
        if not left:
            return bytes(out) + body


def connect(client: str, *, keep_s: int, will: tuple[str, bytes], user: str = "", password: str = "") -> bytes:
    """Return CONNECT with a clean session and a retained will; user and password where there are some."""
    flags = 0x02 | 0x04 | 0x20 | (0xC0 if user else 0)
    topic, text = will
    body = _text("MQTT") + bytes([4, flags]) + keep_s.to_bytes(2, "big") + _text(client)
    body += _text(topic) + len(text).to_bytes(2, "big") + text
    return _packet(0x10, body + (_text(user) + _text(password) if user else b""))


def subscribe(topics: list[str]) -> bytes:
    """Return SUBSCRIBE at quality 0."""
    return _packet(0x82, b"\x00\x01" + b"".join([_text(topic) + b"\x00" for topic in topics]))


def publish(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """Return PUBLISH."""
    return _packet(0x31 if retain else 0x30, _text(topic) + payload)


class Parser:
    """Finds packets. ValueError: what comes is no MQTT, or too long."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[tuple[int, str, bytes]]:
        """Return kind, topic (of PUBLISH) and the rest of each packet that is whole."""
        self._bytes += data
        packets: list[tuple[int, str, bytes]] = []
        while True:
            packet = self._next()
            if packet is None:
                return packets
            packets.append(packet)

    def _next(self) -> tuple[int, str, bytes] | None:
        length, at = 0, 1
        while True:
            if at >= len(self._bytes):
                return None
            byte = self._bytes[at]
            length |= (byte & 0x7F) << 7 * (at - 1)
            at += 1
            if length > LONGEST or at > 5:
                raise ValueError
            if not byte & 0x80:
                break
        if len(self._bytes) < at + length:
            return None
        head, body = self._bytes[0], self._bytes[at : at + length]
        self._bytes = self._bytes[at + length :]
        if head >> 4 != PUBLISH:
            return head >> 4, "", body
        size = int.from_bytes(body[:2], "big")
        if len(body) < 2 + size or head & 0x06:  # we subscribe at quality 0
            raise ValueError
        return PUBLISH, body[2 : 2 + size].decode(), body[2 + size :]
