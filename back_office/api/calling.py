"""One call of a webhook: to the address that was looked at, signed, with no redirect followed and little of it read."""

import hmac
import http.client
import io
import socket
import ssl
from collections.abc import Collection
from hashlib import sha256
from time import monotonic
from typing import Any, Final

import msgspec

from back_office.api.addresses import Target, located, parsed
from back_office.store.webhooks import Delivery, Webhook
from payment_core.identifiers import uuid_text

TIMEOUT_S: Final = 8.0
"""Of a whole call, from looking its name up to what is read of the answer. Shorter than an office has to end."""
MOST_ANSWER: Final = 200
"""Characters that are kept of what went wrong."""
_READ_BYTES: Final = 1_024
_FINE: Final = range(200, 300)


class Called(msgspec.Struct, frozen=True):
    """What came of a call. answer: the status, or why there is none."""

    taken: bool
    answer: str


def call(hook: Webhook, delivery: Delivery, private: Collection[str], *, now_ms: int) -> Called:
    """Send an event to its webhook; only a status of 200 to 299 says that it was taken."""
    target = parsed(hook.url)
    assert target is not None, "it was read when it was made"
    ends_s = monotonic() + TIMEOUT_S
    try:
        at = located(target, private, ends_s=ends_s)
        if isinstance(at, str):
            return Called(taken=False, answer=at)
        return _sent(at, hook, delivery, now_ms, ends_s)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Called(taken=False, answer=f"{type(error).__name__}: {error}"[:MOST_ANSWER])


def signature(secret: bytes, body: bytes, *, now_ms: int) -> str:
    """Return what says that we sent this just now: `t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.body`."""
    seconds = now_ms // 1_000
    mac = hmac.digest(secret, f"{seconds}.".encode() + body, sha256)
    return f"t={seconds},v1={mac.hex()}"


def _sent(at: Target, hook: Webhook, delivery: Delivery, now_ms: int, ends_s: float) -> Called:
    headers = {
        "Content-Type": "application/json", "User-Agent": "venuehub", "Venuehub-Event": delivery.event,
        "Venuehub-Delivery": f"{uuid_text(hook.hook_id)}/{delivery.number}",
        "Venuehub-Signature": signature(hook.secret, delivery.body, now_ms=now_ms),
    }  # fmt: skip
    with _joined(at, ends_s) as joined:
        connection = http.client.HTTPConnection(at.host, at.port)
        connection.sock = _Timed(joined, ends_s)
        connection.request("POST", at.path, delivery.body, headers)
        answer = connection.getresponse()
        answer.read(_READ_BYTES)
    return Called(taken=answer.status in _FINE, answer=str(answer.status))


def _joined(at: Target, ends_s: float) -> socket.socket:
    plain = socket.create_connection((at.address, at.port), timeout=_left_s(ends_s))
    if at.scheme != "https":
        return plain
    try:
        plain.settimeout(_left_s(ends_s))  # of the whole handshake
        return ssl.create_default_context().wrap_socket(plain, server_hostname=at.host)
    except BaseException:
        plain.close()
        raise


def _left_s(ends_s: float) -> float:
    """Return what is left until then. TimeoutError: nothing."""
    left_s = ends_s - monotonic()
    if left_s <= 0:
        message = f"the whole call took more than {TIMEOUT_S:.0f} s"
        raise TimeoutError(message)
    return left_s


class _Timed(io.RawIOBase):
    """What http.client uses of a socket, all of it together done by `ends_s`; who made the socket closes it.

    A socket's own timeout is of each read alone: a receiver that drips would hold its thread without end.
    """

    def __init__(self, on: socket.socket, ends_s: float) -> None:
        self._on, self._ends_s = on, ends_s

    def sendall(self, body: bytes) -> None:
        rest = memoryview(body)
        while rest:
            self._on.settimeout(_left_s(self._ends_s))
            rest = rest[self._on.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:  # noqa: ANN401 - any buffer
        self._on.settimeout(_left_s(self._ends_s))
        return self._on.recv_into(into)

    def close(self) -> None:
        """Do nothing: http.client closes what it writes to before it has read the answer."""
