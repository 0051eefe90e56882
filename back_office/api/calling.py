"""One call of a webhook: to the address that was looked at, signed, with no redirect followed and little of it read."""

import hmac
import http.client
import socket
import ssl
from collections.abc import Collection
from hashlib import sha256
from typing import Final

import msgspec

from back_office.api.addresses import Target, located, parsed
from back_office.store.webhooks import Delivery, Webhook
from payment_core.identifiers import uuid_text

TIMEOUT_S: Final = 10.0
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
    try:
        at = located(target, private)
        if isinstance(at, str):
            return Called(taken=False, answer=at)
        return _sent(at, hook, delivery, now_ms)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Called(taken=False, answer=f"{type(error).__name__}: {error}"[:200])


def signature(secret: bytes, body: bytes, *, now_ms: int) -> str:
    """Return what says that we sent this just now: `t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.body`."""
    seconds = now_ms // 1_000
    mac = hmac.digest(secret, f"{seconds}.".encode() + body, sha256)
    return f"t={seconds},v1={mac.hex()}"


def _sent(at: Target, hook: Webhook, delivery: Delivery, now_ms: int) -> Called:
    headers = {
        "Content-Type": "application/json", "User-Agent": "venuehub", "Venuehub-Event": delivery.event,
        "Venuehub-Delivery": f"{uuid_text(hook.hook_id)}/{delivery.number}",
        "Venuehub-Signature": signature(hook.secret, delivery.body, now_ms=now_ms),
    }  # fmt: skip
    connection = _connection(at)
    try:
        connection.request("POST", at.path, delivery.body, headers)
        answer = connection.getresponse()
        answer.read(_READ_BYTES)
    finally:
        connection.close()
    return Called(taken=answer.status in _FINE, answer=str(answer.status))


def _connection(at: Target) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(at.host, at.port, timeout=TIMEOUT_S)
    plain = socket.create_connection((at.address, at.port), timeout=TIMEOUT_S)
    try:
        secure = at.scheme == "https"
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=at.host) if secure else plain
    except BaseException:
        plain.close()
        raise
    return connection
