"""Where a webhook may go: outside, by https; inside only to hosts that the office was started with."""

import socket
from collections.abc import Collection
from ipaddress import IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import msgspec

_PORTS: Final = {"http": 80, "https": 443}
_OUTSIDE: Final = IPv6Network("2000::/3")
"""All that was ever given out. By others, as 64:ff9b::/96, some networks reach any IPv4 address, also one inside."""
MOST_LOOKUPS: Final = 64
"""Names that are looked up at once, those included whose answer nobody waits for any more."""
_room = BoundedSemaphore(MOST_LOOKUPS)


class Target(msgspec.Struct, frozen=True):
    """An address in its parts; address: the one that was looked at and is called, so that no name changes between."""

    scheme: str
    host: str
    port: int
    path: str
    address: str = ""


def refusal_of(url: str, private: Collection[str]) -> str:
    """Return why an address cannot be a webhook's as it is written; empty: it can. No name is looked up."""
    target = parsed(url)
    if target is None:
        return "write https://host[:port]/path, without a name or a password in it"
    if target.host in private:
        return ""
    if target.scheme != "https":
        return "write https://: what is told is signed, not sealed"
    return _inside(target.host) if _is_address(target.host) else ""


def parsed(url: str) -> Target | None:
    """Return an address in its parts; None: it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username or parts.password or parts.fragment:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port, path)


def located(target: Target, private: Collection[str], *, ends_s: float) -> Target | str:
    """Return where a name leads now; a text says why nothing is sent there. OSError, UnicodeError: nobody knows it.

    TimeoutError: nobody knew it by `ends_s` (of `monotonic`).
    """
    address = _address_of(target, ends_s)
    why = "" if target.host in private else _inside(address)
    return why or msgspec.structs.replace(target, address=address)


def _address_of(target: Target, ends_s: float) -> str:
    """Look a name up in a thread, left behind where it takes too long: the system's own wait cannot be cut short."""
    room, said = _room, SimpleQueue[str | OSError | ValueError]()

    def ask() -> None:
        try:
            said.put(str(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)[0][4][0]))
        except (OSError, ValueError) as error:  # raised again by who waits for it
            said.put(error)
        finally:
            room.release()

    late = TimeoutError(f"nobody said in time where {target.host} is")
    if not room.acquire(timeout=max(ends_s - monotonic(), 0)):
        raise late
    try:
        Thread(target=ask, name="webhooks-name", daemon=True).start()
    except BaseException:
        room.release()
        raise
    try:
        found = said.get(timeout=max(ends_s - monotonic(), 0))
    except Empty:
        raise late from None
    if isinstance(found, Exception):
        raise found
    return found


def _inside(address: str) -> str:
    at = ip_address(address.partition("%")[0])
    mapped = getattr(at, "ipv4_mapped", None)
    at = mapped if mapped is not None else at
    led = isinstance(at, IPv6Address) and bool(at.sixtofour or at.teredo or at not in _OUTSIDE)
    if at.is_global and not at.is_multicast and not led:
        return ""
    return f"{address} is no address of the outside; `office run --hooks-to` names hosts inside that may be told"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
