"""docs/asyncapi.yaml is what the structs are, is AsyncAPI, and real messages are what it says."""

import json

import jsonschema
import msgspec
import pytest

from payment_core.bus import (
    BRIDGE_LEAVES,
    DEVICE_LEAVES,
    PEER_LEAVES,
    RETAINED_LEAVES,
    TERMINAL_LEAVES,
    Birth,
    Booked,
    DeviceState,
    View,
    decode,
    encode,
    parse_topic,
)
from payment_core.commands import COMMAND_KINDS, Accept, Identify, PulseCredit, Result, make_command
from payment_core.desk import CardShown, DeskReply, DeskRequest, OpenRow, SettleDoubt
from payment_core.errors import MalformedMessageError
from payment_core.events import (
    EVENT_KINDS,
    CoinInserted,
    CredentialPresented,
    CredentialRemoved,
    CreditDelivered,
    EventsLost,
    TicketsWon,
    make_event,
)
from payment_core.preparing import Prepare, Prepared
from tests.support.tree import ROOT
from tools import make_asyncapi

STANDARD = json.loads((ROOT / "tests/vectors/asyncapi/schemas/3.0.0.json").read_text())
DOCUMENT = make_asyncapi.make_document()
EVENTS = [
    CredentialPresented(media="ntag21x", uid="04A1B2C3D4E580", class_="C"),
    CredentialRemoved(uid="04A1B2C3D4E580"),
    CoinInserted(position=5, counter=7),
    EventsLost(count=2),
    TicketsWon(count=12),
    CreditDelivered(id="0" * 36, credits=1),
]
ID = "0198a000-0000-7000-8000-000000000001"
MESSAGES = [
    DeskRequest(id=ID, staff="lin", act=SettleDoubt(ID, delivered=True, note="saw it"), pin="2580"),
    DeskReply(id=ID, outcome="done", open=(OpenRow(ID, "in_doubt", "racer-1", "lane-1", "CNY", 200, 5_000, "staff"),)),
    CardShown(credential="0" * 32, status="active", staff="lin"),
    Birth(profile="pn532-uart", version=1, boot_id="b", bridge="hall"),
    DeviceState(state="online", since_ms=1),
    Prepare(id=ID, profiles=("pn532-uart",)),
    Prepared(id=ID, outcome="failed", cases=3, problems=("pn532-uart: a card: no event",)),
    Booked(epoch=1, seq=2, counter=-1),
    Result(id="0" * 36, outcome="done", amount=1),
    View(state="idle", at_ms=1, unit="CNY", price=200, balance_before=None, balance_after=5),
    *(make_event(body, seq=1, epoch=2, age_ms=3) for body in EVENTS),
    *(
        make_command(body, command_id="0" * 36, seq=1, boot_id="b", ttl_ms=2_000)
        for body in (PulseCredit(credits=1), Identify(), Accept(on=True))
    ),
]


def name_of(message: object) -> str:
    return getattr(message, "kind", type(message).__name__)


def schema_of(name: str) -> dict[str, object]:
    return {**DOCUMENT["components"]["messages"][name]["payload"], "components": DOCUMENT["components"]}


def test_the_file_is_as_the_structs_are():
    wanted = make_asyncapi.make_yaml(DOCUMENT)
    assert make_asyncapi.FILE.read_text(encoding="utf-8") == wanted, "run python tools/make_asyncapi.py"


def test_it_is_asyncapi_3():
    jsonschema.validators.validator_for(STANDARD)(STANDARD).validate(DOCUMENT)
    broken = msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    broken["operations"]["sendView"]["action"] = "shout"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validators.validator_for(STANDARD)(STANDARD).validate(broken)


def test_every_leaf_kind_and_retained_topic_of_the_bus_is_there():
    assert set(DOCUMENT["channels"]) == {*DEVICE_LEAVES, *TERMINAL_LEAVES, *PEER_LEAVES, *BRIDGE_LEAVES, "view"}
    assert tuple(DOCUMENT["channels"]["event"]["messages"]) == EVENT_KINDS
    assert tuple(DOCUMENT["channels"]["command"]["messages"]) == COMMAND_KINDS
    for leaf, channel in DOCUMENT["channels"].items():
        address = parse_topic(channel["address"])
        assert address is not None
        assert address.leaf == leaf
    retained = {
        operation["channel"]["$ref"].removeprefix("#/channels/")
        for operation in DOCUMENT["operations"].values()
        if operation["bindings"]["mqtt"]["retain"]
    }
    assert retained == RETAINED_LEAVES | {"view"}


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_a_real_message_is_what_the_document_says(message):
    schema = schema_of(name_of(message))
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode(message)))


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_what_the_document_refuses_the_bus_refuses_too(message):
    leaf = next(leaf for leaf, channel in DOCUMENT["channels"].items() if name_of(message) in channel["messages"])
    wrong = json.loads(encode(message))
    first = next(iter(wrong))
    wrong[first] = ["neither text nor number"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema_of(name_of(message))).validate(wrong)
    with pytest.raises(MalformedMessageError, match=leaf):
        decode(leaf, json.dumps(wrong).encode())


def values(text: str) -> list[str]:
    """The values a block-style YAML text holds, in order; each is written as JSON."""
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
    return [line.partition(" ")[2] for line in lines if not line.endswith(":") and line != "-"]


def leaves(node: object) -> list[object]:
    if isinstance(node, dict) and node:
        return [leaf for value in node.values() for leaf in leaves(value)]
    if isinstance(node, list) and node:
        return [leaf for value in node for leaf in leaves(value)]
    return [node]


def test_every_value_of_the_yaml_is_json_so_that_any_reader_reads_it_alike():
    assert [json.loads(value) for value in values(make_asyncapi.make_yaml(DOCUMENT))] == leaves(
        json.loads(json.dumps(DOCUMENT))
    )
