"""Device-bus messages: round trips, the wire's own words, and bytes that are not what their topic promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.bus import (
    BRIDGE_LEAVES,
    DEVICE_LEAVES,
    RETAINED_LEAVES,
    Address,
    Birth,
    Booked,
    DeviceState,
    View,
    bridge_topic,
    decode,
    device_topic,
    encode,
    parse_topic,
    view_topic,
)
from payment_core.commands import (
    COMMAND_KINDS,
    UNCOUNTED,
    Accept,
    ApproveVend,
    BeginSession,
    Command,
    DenyVend,
    Dispense,
    EndSession,
    Enroll,
    Forget,
    Identify,
    Pages,
    PulseCredit,
    Result,
    SetLine,
    Transceive,
    Verify,
    command_body,
    make_command,
)
from payment_core.errors import MalformedMessageError
from payment_core.events import (
    EVENT_KINDS,
    ButtonPressed,
    CashSale,
    CodeScanned,
    CoinInserted,
    CredentialPresented,
    CredentialRemoved,
    CreditDelivered,
    Event,
    EventsLost,
    PrizeOut,
    SessionEnded,
    TicketsWon,
    VendRequested,
    event_body,
    is_value_event,
    make_event,
)
from payment_core.preparing import Prepare, Prepared

ID = "0198a000-0000-7000-8000-000000000001"
BODIES = [
    (
        CredentialPresented("ntag424", "04A1", "A", "https://x"),
        b'{"media":"ntag424","uid":"04A1","class":"A","ndef":"https://x"}',
    ),
    (CredentialPresented("ntag21x", "04A1", "C"), b'{"media":"ntag21x","uid":"04A1","class":"C"}'),
    (
        CredentialPresented("finger", "31320007", "B", intent="v1"),
        b'{"media":"finger","uid":"31320007","class":"B","intent":"v1"}',
    ),
    (CredentialRemoved("04A1"), b'{"uid":"04A1"}'),
    (ButtonPressed("start"), b'{"button":"start"}'),
    (VendRequested(1_200, 6, "s1", 9), b'{"amount":1200,"item":6,"session":"s1","number":9}'),
    (SessionEnded("s1"), b'{"session":"s1"}'),
    (PrizeOut(1), b'{"count":1}'),
    (CashSale(300, 6), b'{"amount":300,"item":6}'),
    (CodeScanned("VH1:0"), b'{"text":"VH1:0"}'),
    (CoinInserted(5, 7), b'{"position":5,"counter":7}'),
    (EventsLost(2), b'{"count":2}'),
    (TicketsWon(12), b'{"count":12}'),
    (CreditDelivered(ID, 1), b'{"id":"%s","credits":1}' % ID.encode()),
]
MESSAGES = [
    ("birth", Birth("pn532-uart", 1, "b1", "bridge-1", capabilities=("sun",), answer_ms=9)),
    ("state", DeviceState("fault", 5, noise=3, reason="jam")),
    ("event", make_event(CoinInserted(5, 7), seq=1, epoch=2, age_ms=3)),
    ("booked", Booked(2, 1, 7)),
    ("command", make_command(PulseCredit(2), command_id=ID, seq=9, boot_id="b1", ttl_ms=2_000)),
    ("result", Result(ID, "unknown", reason="jam", counters={"pulses": 1})),
    ("view", View("declined", 1, "CNY", 200, reason="not_enough", balance_before=5)),
    ("bridge_command", Prepare(ID, ("pn532-uart",))),
    ("bridge_result", Prepared(ID, "failed", cases=3, problems=("x",))),
]


@pytest.mark.parametrize(("body", "raw"), BODIES)
def test_an_events_body_and_its_bytes(body, raw):
    event = make_event(body, seq=1, epoch=2, age_ms=3)
    assert (event.kind, bytes(event.body)) == (type(body).__name__, raw)
    assert event_body(event) == body


def test_every_event_and_command_kind_has_a_row():
    assert {type(body).__name__ for body, _raw in BODIES} == set(EVENT_KINDS)
    assert {type(body).__name__ for body in COMMANDS} == set(COMMAND_KINDS)
    assert [kind for kind in EVENT_KINDS if is_value_event(kind)] == [
        "CoinInserted",
        "EventsLost",
        "TicketsWon",
        "PrizeOut",
        "CashSale",
        "CreditDelivered",
    ]
    assert set(COMMAND_KINDS) - UNCOUNTED == {"PulseCredit", "Dispense", "ApproveVend"}


COMMANDS = [
    PulseCredit(3),
    Dispense(20),
    ApproveVend(1_200, 6, 9),
    DenyVend(9),
    BeginSession(5_000),
    EndSession(),
    Verify(),
    Enroll(7, "consent-1"),
    Forget(7),
    Pages(),
    SetLine("lock", on=True, for_ms=500),
    Transceive("04A1", ("00A4",)),
    Identify(),
    Accept(on=False),
]


@pytest.mark.parametrize("body", COMMANDS, ids=lambda body: type(body).__name__)
def test_a_commands_body(body):
    assert command_body(make_command(body, command_id=ID, seq=1, boot_id="b", ttl_ms=0)) == body


@pytest.mark.parametrize(("leaf", "message"), MESSAGES, ids=[leaf for leaf, _message in MESSAGES])
def test_every_leaf_round_trips(leaf, message):
    assert decode(leaf, encode(message)) == message


@pytest.mark.parametrize(("leaf", "message"), MESSAGES, ids=[leaf for leaf, _message in MESSAGES])
def test_a_message_with_a_field_of_a_later_release_is_still_read(leaf, message):
    raw = encode(message)
    assert decode(leaf, raw[:-1] + b',"later":[1]}') == message


@pytest.mark.parametrize(
    ("leaf", "raw", "words"),
    [
        ("birth", b"{}", "birth: .*`profile`"),
        ("state", b'{"state":"asleep","since_ms":1}', r"state: .*asleep.*\$.state"),
        ("event", b'{"kind":"X","seq":-1,"epoch":1,"age_ms":0,"body":{}}', r"event: .*\$.seq"),
        ("event", b'{"kind":"X","seq":9007199254740992,"epoch":1,"age_ms":0,"body":{}}', r"event: .*\$.seq"),
        ("command", b"[]", "command: .*object"),
        ("result", b'{"id":"x","outcome":"maybe"}', "result: .*maybe"),
        ("result", b'{"id":"x","outcome":"done","amount":-1}', r"result: .*\$.amount"),
        ("booked", b"not json", "booked: "),
        ("view", b"\xff", "view: "),
        ("state", b'{"state":"online","since_ms":1,"reason":"\xb0"}', "state: .*utf-8"),
    ],
)
def test_what_its_topic_does_not_promise_names_leaf_and_field(leaf, raw, words):
    with pytest.raises(MalformedMessageError, match=words):
        decode(leaf, raw)


@given(st.sampled_from([*DEVICE_LEAVES, "view"]), st.binary(max_size=200) | st.text(max_size=99).map(str.encode))
def test_no_bytes_raise_anything_else(leaf, raw):
    try:
        message = decode(leaf, raw)
        if isinstance(message, Event):
            event_body(message)
        if isinstance(message, Command):
            command_body(message)
    except MalformedMessageError:
        pass


@given(st.sampled_from(EVENT_KINDS), st.binary(max_size=60))
def test_no_body_raises_anything_else(kind, noise):
    raw = b'{"kind":"%s","seq":1,"epoch":1,"age_ms":0,"body":{"uid":"%s"}}' % (kind.encode(), noise.replace(b'"', b""))
    try:
        message = decode("event", raw)
        assert isinstance(message, Event)
        event_body(message)
    except MalformedMessageError:
        pass


def test_unknown_kinds_are_named():
    with pytest.raises(MalformedMessageError, match="event kind 'Sneeze' is not known"):
        event_body(Event("Sneeze", 1, 1, 0, make_event(EventsLost(1), seq=1, epoch=1, age_ms=0).body))
    with pytest.raises(MalformedMessageError, match="command kind 'Explode' is not known"):
        command_body(Command(ID, 1, "b", 0, "Explode", make_event(EventsLost(1), seq=1, epoch=1, age_ms=0).body))


def test_a_wrong_body_names_the_field():
    with pytest.raises(MalformedMessageError, match=r"event CoinInserted: .*`position`"):
        event_body(Event("CoinInserted", 1, 1, 0, make_event(EventsLost(1), seq=1, epoch=1, age_ms=0).body))
    with pytest.raises(MalformedMessageError, match=r"command PulseCredit: .*`credits`"):
        command_body(Command(ID, 1, "b", 0, "PulseCredit", make_event(EventsLost(1), seq=1, epoch=1, age_ms=0).body))


@pytest.mark.parametrize("leaf", DEVICE_LEAVES)
def test_device_topics_there_and_back(leaf):
    assert device_topic("hub-1", "coin-2", leaf) == f"vd/1/hub-1/dev/coin-2/{leaf}"
    assert parse_topic(device_topic("hub-1", "coin-2", leaf)) == Address("hub-1", "coin-2", leaf)


def test_view_topics_there_and_back():
    assert parse_topic(view_topic("hub-1", "lane-2")) == Address("hub-1", "lane-2", "view")


@pytest.mark.parametrize("leaf", BRIDGE_LEAVES)
def test_topics_of_a_bridge_itself_there_and_back(leaf):
    assert bridge_topic("hub-1", "hall", leaf) == f"vd/1/hub-1/bridge/hall/{leaf.removeprefix('bridge_')}"
    assert parse_topic(bridge_topic("hub-1", "hall", leaf)) == Address("hub-1", "hall", leaf)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "vd/1/h/bridge/b/birth",
        "vd/1/h/dev/d/bridge_command",
        "vd/1/h/dev/d",
        "vd/2/h/dev/d/event",
        "vd/1/h/dev/d/view",
        "vd/1/h/lane/l/event",
        "vd/1/h/dev/d/event/x",
    ],
)
def test_topics_that_are_not_ours(topic):
    assert parse_topic(topic) is None


def test_what_is_retained():
    assert frozenset({"birth", "state", "booked"}) == RETAINED_LEAVES
