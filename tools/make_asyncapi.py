"""Write docs/asyncapi.yaml from the structs of the device bus: topics, messages, and what travels retained.

`python tools/make_asyncapi.py` writes the file, with `--check` it says whether the file is as the structs are.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from payment_core.bus import (
    BRIDGE_LEAVES,
    PEER_LEAVES,
    TERMINAL_LEAVES,
    Birth,
    Booked,
    DeviceState,
    View,
    bridge_topic,
    device_topic,
    peer_topic,
    terminal_topic,
    view_topic,
)
from payment_core.commands import Command, CommandBody, Result
from payment_core.desk import CardShown, DeskReply, DeskRequest
from payment_core.events import Body, Event, is_value_event
from payment_core.preparing import Prepare, Prepared

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "docs" / "asyncapi.yaml"
Node = dict[str, Any]

EVENTS: Final[tuple[type[msgspec.Struct], ...]] = get_args(Body)
COMMANDS: Final[tuple[type[msgspec.Struct], ...]] = get_args(CommandBody)
PLAIN: Final = (Birth, DeviceState, Booked, Result, View, DeskRequest, DeskReply, CardShown, Prepare, Prepared)
PLAIN_KEY: Final = re.compile(r"[A-Za-z$][\w$-]*")
HUB: Final = {"description": "The hub's id, a UUID as 36 characters."}
DEVICE: Final = {"description": "The device's name in bridge.toml; the bridge itself has a birth and a state too."}
TERMINAL: Final = {"description": "The terminal's name in the staff document: one place where staff act."}
LANE: Final = {"description": "The lane's name in the devices document: one place where a guest pays."}

HUB_SENDS: Final = frozenset({"booked", "command", "view", "reply", "card", "bridge_command"})
RETAINED: Final = frozenset({"birth", "state", "booked", "view"})
CHANNELS: Final = {
    "birth": (("Birth",), "A device introduces itself, whenever its bridge starts or reconnects."),
    "state": (("DeviceState",), "How a device is; the bridge's own is also its will."),
    "event": (
        tuple(event.__name__ for event in EVENTS),
        "Facts from a device. Wishes go once (QoS 0); value events are resent until the hub has booked them (QoS 1).",
    ),
    "booked": (("Booked",), "How far the hub has booked a device's value events."),
    "command": (tuple(command.__name__ for command in COMMANDS), "Wishes to a device, acted on at most once."),
    "result": (("Result",), "How a command ended that was not answered by a CreditDelivered."),
    "view": (("View",), "What the guest at a lane sees."),
    "request": (("DeskRequest",), "One act of one of the staff at a terminal; the same id is the same act."),
    "reply": (("DeskReply",), "What came of a request."),
    "card": (("CardShown",), "A card was shown at a terminal's reader."),
    "bridge_command": (("Prepare",), "A question to a bridge itself."),
    "bridge_result": (("Prepared",), "What came of it."),
    "ask": (("PeerLetter",), "A hub wants an account's money from a neighbour, or tells it something."),
    "voucher": (("PeerLetter",), "A hub hands money over to a neighbour, says that it has none, or confirms."),
    "batch": (("SealedBatch",), "A hub without its office gives a neighbour a batch to keep, until the office has it."),
}
BRIDGE: Final = {"description": "The bridge's name in its bridge.toml."}
PEER: Final = {"description": "The sending hub's id, a UUID as 36 characters."}
LETTER: Final[Node] = {
    "name": "PeerLetter",
    "summary": "A signed and sealed letter between the hubs of a venue, as docs/wire/esm1.md says; no JSON.",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}

BATCH: Final[Node] = {
    "name": "SealedBatch",
    "summary": "Entries of a journal as their hub sealed and signed them, as docs/wire/ehb1.md says; no JSON.",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}


def make_document() -> Node:
    """Return the whole document, as the hub sees the bus."""
    structs = (*PLAIN, Event, Command, *EVENTS, *COMMANDS)
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    del schemas["DeskRequest"]["properties"]["act"]["discriminator"]  # AsyncAPI has another; each act's own tag says it
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "The device bus of a venue",
            "version": "1",
            "description": "JSON over MQTT between a hub, its bridges and its guest pages. Made from the structs in "
            "payment_core by tools/make_asyncapi.py; unknown fields are ignored, unknown kinds are dropped and logged.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {leaf: _channel(leaf, names, text) for leaf, (names, text) in CHANNELS.items()},
        "operations": {
            f"{action}{leaf.title().replace('_', '')}": _operation(leaf, action)
            for leaf in CHANNELS
            for action in _actions(leaf)
        },
        "components": {"messages": _messages(), "schemas": dict(sorted(schemas.items()))},
    }


def _channel(leaf: str, names: tuple[str, ...], text: str) -> Node:
    address, place = device_topic("{hub}", "{device}", leaf), {"device": DEVICE}
    if leaf == "view":
        address, place = view_topic("{hub}", "{lane}"), {"lane": LANE}
    elif leaf in TERMINAL_LEAVES:
        address, place = terminal_topic("{hub}", "{terminal}", leaf), {"terminal": TERMINAL}
    elif leaf in BRIDGE_LEAVES:
        address, place = bridge_topic("{hub}", "{bridge}", leaf), {"bridge": BRIDGE}
    elif leaf in PEER_LEAVES:
        address, place = peer_topic("{hub}", "{from}", leaf), {"from": PEER}
    return {
        "address": address,
        "description": text,
        "parameters": {"hub": HUB, **place},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _actions(leaf: str) -> tuple[str, ...]:
    if leaf in PEER_LEAVES:
        return ("send", "receive")
    return ("send",) if leaf in HUB_SENDS else ("receive",)


def _operation(leaf: str, action: str) -> Node:
    mqtt = {"qos": 0 if leaf == "view" else 1, "retain": leaf in RETAINED, "bindingVersion": "0.2.0"}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{leaf}"},
        "bindings": {"mqtt": mqtt},
    }


def _messages() -> Node:
    plain = {struct.__name__: _message(struct, _ref(struct.__name__)) for struct in PLAIN}
    events = {event.__name__: _message(event, _wrapped("Event", event.__name__)) for event in EVENTS}
    commands = {command.__name__: _message(command, _wrapped("Command", command.__name__)) for command in COMMANDS}
    for name, message in events.items():
        kept = "a value event: kept and resent until it is booked" if is_value_event(name) else "a wish: never resent"
        message["summary"] = f"{message['summary']} This is {kept}."
    return plain | events | commands | {"PeerLetter": LETTER, "SealedBatch": BATCH}


def _message(struct: type[msgspec.Struct], payload: Node) -> Node:
    summary = " ".join((struct.__doc__ or "").partition("\n")[0].split())
    return {"name": struct.__name__, "summary": summary, "payload": payload}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _wrapped(envelope: str, kind: str) -> Node:
    return {"allOf": [_ref(envelope), {"properties": {"kind": {"const": kind}, "body": _ref(kind)}}]}


def make_yaml(node: Node) -> str:
    """Return YAML in block style; every text is written as JSON writes it, which YAML reads alike."""
    head = "# Made by tools/make_asyncapi.py from the structs in payment_core. Change those, then run it.\n"
    return head + "\n".join(_lines(node)) + "\n"


def _lines(node: Node | list[Any]) -> list[str]:
    lines: list[str] = []
    pairs = [(f"{_key(key)}:", value) for key, value in node.items()] if isinstance(node, dict) else []
    items = [("-", value) for value in node] if isinstance(node, list) else []
    for start, value in [*pairs, *items]:
        if isinstance(value, dict | list) and value:
            lines += [start, *(f"  {line}" for line in _lines(value))]
        else:
            lines.append(f"{start} {json.dumps(value, ensure_ascii=False)}")
    return lines


def _key(key: str) -> str:
    return key if PLAIN_KEY.fullmatch(key) else json.dumps(key)


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    check = parser.parse_args().check
    text = make_yaml(make_document())
    if check:
        fresh = FILE.is_file() and FILE.read_text(encoding="utf-8") == text
        print(f"{FILE.name} is {'as the structs are' if fresh else 'out of date: run python tools/make_asyncapi.py'}")
        return 0 if fresh else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
