"""What waits for the device bus: one place for each thing that may be said, so that only the newest of it waits."""

from typing import Final

from edge_agent.messages import Effect, SayBooked, Send, Show
from edge_agent.staff_messages import Reply, TellCard

LIMIT: Final = 8_192
"""Commands and answers beyond it are dropped: commands are asked for again, a desk repeats its request."""

Outgoing = Send | SayBooked | Reply | TellCard | Show
_Key = tuple[str, str, str]


class OutTray:
    """Effects for the bus in order. What is said again takes the place of what waits. Times: boottime ms.

    A lane's newest view and a device's newest `booked` are kept: a broker that comes back may have forgotten them.
    """

    def __init__(self) -> None:
        self.dropped = 0
        """Commands and answers that did not fit, or that were stale when their turn came."""
        self._waiting: dict[_Key, tuple[Outgoing, int]] = {}
        self._kept: dict[tuple[str, str], Show | SayBooked] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, effect: Effect, now_ms: int) -> None:
        """Take an effect if it is one for the bus."""
        if not isinstance(effect, Outgoing):
            return
        key = _key_of(effect)
        if isinstance(effect, Show | SayBooked):
            self._kept[key[:2]] = effect
        elif len(self._waiting) >= LIMIT and key not in self._waiting:
            self.clear_stale(now_ms)
            if len(self._waiting) >= LIMIT:
                self.dropped += 1
                return
        self._waiting.pop(key, None)
        self._waiting[key] = (effect, now_ms)

    def take(self, now_ms: int) -> Outgoing | None:
        """Return what is to be published next, None: nothing."""
        while self._waiting:
            effect, since_ms = self._waiting.pop(next(iter(self._waiting)))
            if not _is_stale(effect, since_ms, now_ms):
                return effect
            self.dropped += 1
        return None

    def link_up(self, now_ms: int) -> None:
        """The broker is there: say again what it keeps for others."""
        for effect in self._kept.values():
            self._waiting.setdefault(_key_of(effect), (effect, now_ms))

    def clear_stale(self, now_ms: int) -> None:
        """Forget wishes nobody waits for any more."""
        stale = [key for key, (effect, since_ms) in self._waiting.items() if _is_stale(effect, since_ms, now_ms)]
        for key in stale:
            del self._waiting[key]
        self.dropped += len(stale)


def _key_of(effect: Outgoing) -> _Key:
    match effect:
        case Send(device=device, command=command):
            return device, command.kind, command.id
        case SayBooked(device=device, booked=booked):
            return device, "booked", str(booked.epoch)
        case Reply(terminal=terminal, reply=reply):
            return terminal, "reply", reply.id
        case TellCard(terminal=terminal):
            return terminal, "card", ""
        case Show(lane=lane):
            return lane, "view", ""


def _is_stale(effect: Outgoing, since_ms: int, now_ms: int) -> bool:
    """Say whether a command waited here beyond its life: the bridge counts ttl from arrival, the guest from the tap."""
    return isinstance(effect, Send) and 0 < effect.command.ttl_ms <= now_ms - since_ms
