"""Who may say what on the device bus, in mosquitto's words: the same for an installed venue and the demo's.

systemd/mosquitto/venuehub.acl is these rules with `+` for the hub and `%u`, the user's name, for a neighbour.
"""

from typing import Final

from payment_core.bus import PEER_LEAVES

SAID: Final = ("dev/+/birth", "dev/+/state", "dev/+/event", "dev/+/result")
"""What a bridge says of its devices."""
TOLD: Final = ("dev/+/booked", "dev/+/command")
"""What the hub tells them."""


def program_rules(hub: str) -> dict[str, tuple[str, ...]]:
    """Return the lines of a venue's programs, by the name of the user each of them has."""
    root = f"vd/1/{hub}"
    view, asked = f"{root}/lane/+/view", f"{root}/terminal/+/request"
    answered = (f"{root}/terminal/+/reply", f"{root}/terminal/+/card")
    said = [f"{root}/{leaf}" for leaf in (*SAID, "bridge/+/result")]
    told = [f"{root}/{leaf}" for leaf in (*TOLD, "bridge/+/command")]
    shown = (f"{root}/dev/+/birth", f"{root}/dev/+/state", view)
    return {
        "hub": (*_may("read", *said, asked), *_may("write", *told, view, *answered)),
        "bridge": (*_may("write", *said), *_may("read", *told)),
        "terminal": (*_may("write", asked), *_may("read", *answered, *shown)),
    }


def neighbour_rules(hub: str) -> tuple[str, ...]:
    """Return what a hub may hear of its neighbours and say to them, its batches too, without the word before it."""
    heard = (f"vd/1/{hub}/peer/+/{leaf}" for leaf in PEER_LEAVES)
    said = (f"vd/1/+/peer/{hub}/{leaf}" for leaf in PEER_LEAVES)
    return tuple(f"read {topic}" for topic in heard) + tuple(f"write {topic}" for topic in said)


def _may(what: str, *topics: str) -> tuple[str, ...]:
    return tuple(f"topic {what} {topic}" for topic in topics)
