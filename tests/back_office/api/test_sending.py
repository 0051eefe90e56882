"""Webhooks: written with what they tell of, sent in order, signed, at least once; never inside, never led away."""

import json
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv6Network
from time import monotonic, sleep

import pytest

from back_office.api import addresses, calling, sending
from back_office.api.addresses import located, parsed, refusal_of
from back_office.api.calling import Called, call, signature
from back_office.api.sending import CLAIM_MS, OFF, WAITS_MS, Sender
from back_office.ingest.verdicts import freeze, keep_evidence
from back_office.ledger.closing import make_z
from back_office.ledger.desk import venue_of
from back_office.store import papers, webhooks
from back_office.store.papers import Alarm
from examples.webhook_receiver import OLDEST_S, is_ours
from payment_core.identifiers import uuid_bytes
from tests.back_office.api.desk import (
    OTHER_VENUE,
    OTHER_VENUES_HUB,
    TOLD,
    Api,
    second_venue,
    told,
)  # fmt: skip
from tests.back_office.world import DAY, HUB, TENANT, VENUE, WALL_MS
from venuehub.office.tls import make_office_tls

pytestmark = pytest.mark.long
TAKEN, NOT_TAKEN = Called(taken=True, answer="200"), Called(taken=False, answer="500")
ALL = list(webhooks.EVENTS)
HALF = 0.5


class Ends:
    """Where webhooks lead in a test: what was sent, and what is answered next."""

    def __init__(self):
        self.got, self.answers = [], []

    def __call__(self, _hook, delivery, _private):
        self.got.append((delivery.number, delivery.event))
        return self.answers.pop(0) if self.answers else TAKEN


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
def sender(office, ends):
    return Sender(office.store, TENANT, lambda: office.now_ms, call=ends, dice=lambda: HALF)


def hook_of(api, key="", *, venue="", events=ALL, once="w1"):
    made = told(api.post(f"/webhooks{venue}", key or api.key(), {"url": TOLD, "events": list(events)}, once=once))
    return uuid_bytes(made["id"]), bytes.fromhex(made["secret"])


def alarm(office, text="look", *, hub_id=HUB, fail=False):
    with office.store.writing() as tx:
        papers.raise_alarm(tx, TENANT, Alarm("odd", hub_id, text, office.now_ms))
        if fail:
            raise RuntimeError


def waiting(office, hook_id):
    with office.store.reading() as tx:
        rows = webhooks.deliveries(tx, TENANT, hook_id, before=10**9, most=99)
        return [row for row in rows if row.state == "waiting"]


def state_of(office, hook_id):
    with office.store.reading() as tx:
        return webhooks.hook(tx, TENANT, hook_id).state


def test_an_event_is_there_with_what_it_tells_of_or_not_at_all(api, office, sender, ends):
    hook_id, _ = hook_of(api)
    with pytest.raises(RuntimeError):
        alarm(office, fail=True)
    assert waiting(office, hook_id) == []
    alarm(office, "first")
    body = json.loads(waiting(office, hook_id)[0].body)
    assert (body["number"], body["event"], body["what"]["text"]) == (1, "alarm.raised", "first")
    assert sender.due() == [hook_id]
    sender.drain(hook_id)
    assert (ends.got, waiting(office, hook_id)) == ([(1, "alarm.raised")], [])


def test_every_event_is_told(api, office):
    key = api.key()
    hook_id, _ = hook_of(api, key)
    office.top_up(1_000)
    api.post("/refunds", key, {"channel": "counter", "payment": "p1", "amount": 100})
    with office.store.writing() as tx:
        freeze(tx, TENANT, HUB, "fork", office.now_ms)
        freeze(tx, TENANT, HUB, "fork", office.now_ms)
        for _ in range(2):
            keep_evidence(tx, TENANT, HUB, "parked", "a newer type", b"bytes", now_ms=office.now_ms)
        office.now_ms += 2 * 86_400_000
        make_z(tx, TENANT, venue_of(tx, TENANT, VENUE), DAY, by="ann", now_ms=office.now_ms)
    alarm(office)
    found = sorted((row.number, row.event) for row in waiting(office, hook_id))
    assert [event for _number, event in found] == [
        "refund.booked", "hub.frozen", "batch.parked", "closing.made", "alarm.raised",
    ]  # fmt: skip


def test_what_fails_waits_and_holds_up_what_comes_behind_it(api, office, sender, ends):
    hook_id, _ = hook_of(api)
    alarm(office, "one"), alarm(office, "two")
    ends.answers = [NOT_TAKEN]
    sender.drain(hook_id)
    assert (ends.got, sender.due()) == ([(1, "alarm.raised")], [])
    office.now_ms += WAITS_MS[0]
    assert sender.due() == [hook_id]
    sender.drain(hook_id)
    assert [number for number, _event in ends.got] == [1, 1, 2]
    listed = told(api.get(f"/webhooks/{told(api.get('/webhooks', api.key()))['items'][0]['id']}/deliveries", api.key()))
    assert [(one["number"], one["state"], one["attempts"]) for one in listed["items"]] == [
        (2, "delivered", 1), (1, "delivered", 2),
    ]  # fmt: skip


def test_behind_the_last_try_it_is_off_and_alarmed_and_can_be_resumed(api, office, sender, ends):
    key = api.key()
    hook_id, _ = hook_of(api, key)
    alarm(office)
    ends.answers = [NOT_TAKEN] * (len(WAITS_MS) + 1)
    for wait_ms in (*WAITS_MS, 0):
        sender.drain(hook_id)
        office.now_ms += wait_ms
    assert (state_of(office, hook_id), sender.due()) == ("disabled", [])
    with office.store.reading() as tx:
        assert papers.alarms(tx, TENANT)[0].kind == OFF
    alarm(office, "nobody is told while it is off")
    name = told(api.get("/webhooks", key))["items"][0]["id"]
    assert told(api.post(f"/webhooks/{name}/resumption", key, once="again"))["state"] == "active"
    sender.drain(hook_id)
    assert ends.got[-1] == (1, "alarm.raised")
    assert waiting(office, hook_id) == []


def test_an_event_of_a_clock_that_was_ahead_waits_for_no_moment_to_come(api, office, sender, ends):
    hook_id, _ = hook_of(api)
    office.now_ms += (ahead_ms := 2 * WAITS_MS[-1])
    alarm(office)
    office.now_ms -= ahead_ms
    assert sender.due() == [hook_id]
    office.now_ms += ahead_ms
    ends.answers = [NOT_TAKEN]
    sender.drain(hook_id)
    office.now_ms -= ahead_ms
    assert sender.due() == [hook_id]
    sender.drain(hook_id)
    assert waiting(office, hook_id) == []


def test_resuming_one_that_is_active_tries_the_oldest_now(api, office, sender, ends):
    hook_id, _ = hook_of(api, key := api.key())
    alarm(office)
    ends.answers = [NOT_TAKEN]
    sender.drain(hook_id)
    assert sender.due() == []
    name = told(api.get("/webhooks", key))["items"][0]["id"]
    assert told(api.post(f"/webhooks/{name}/resumption", key, once="now"))["state"] == "active"
    assert sender.due() == [hook_id]


def test_who_was_killed_while_sending_sends_once_more(api, office, ends):
    hook_id, _ = hook_of(api)
    alarm(office)

    def killed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sender(office.store, TENANT, lambda: office.now_ms, call=killed).drain(hook_id)
    again = Sender(office.store, TENANT, lambda: office.now_ms, call=ends)
    assert again.due() == []
    office.now_ms += CLAIM_MS
    again.drain(again.due()[0])
    assert ends.got == [(1, "alarm.raised")]


def test_too_much_that_waits_switches_it_off(api, office, sender, monkeypatch):
    monkeypatch.setattr(sending, "MOST_WAITING", 3)
    hook_id, _ = hook_of(api)
    for _ in range(4):
        alarm(office)
    sender.due()
    assert state_of(office, hook_id) == "disabled"


def full_and_resumed(api, office, sender, monkeypatch):
    """Return a webhook for which as much waits as may, switched off for it and resumed."""
    monkeypatch.setattr(sending, "MOST_WAITING", 3)
    hook_id, _ = hook_of(api, key := api.key())
    for _ in range(4):
        alarm(office)
    sender.due()
    office.now_ms += 1_000
    name = told(api.get("/webhooks", key))["items"][0]["id"]
    assert told(api.post(f"/webhooks/{name}/resumption", key, once="again"))["state"] == "active"
    return hook_id


def test_one_that_was_off_for_too_much_is_sent_all_of_it_once_resumed(api, office, sender, ends, monkeypatch):
    hook_id = full_and_resumed(api, office, sender, monkeypatch)
    alarm(office)
    ends.answers = [TAKEN, NOT_TAKEN]
    for wait_ms in (0, WAITS_MS[0]):
        office.now_ms += wait_ms
        assert sender.due() == [hook_id]
        sender.drain(hook_id)
        assert (state_of(office, hook_id), sender.due()) == ("active", [])
    assert ([number for number, _event in ends.got], waiting(office, hook_id)) == ([1, 2, 2, 3, 4, 5], [])


def test_as_much_again_since_it_was_resumed_switches_it_off_again(api, office, sender, monkeypatch):
    hook_id = full_and_resumed(api, office, sender, monkeypatch)
    for number in range(4):
        assert (number, state_of(office, hook_id)) == (number, "active")
        alarm(office)
        sender.due()
    assert state_of(office, hook_id) == "disabled"


def test_a_build_that_counts_what_was_there_when_it_was_resumed_is_caught(api, office, sender, monkeypatch):
    monkeypatch.setattr(webhooks, "first_fresh", webhooks.first_waiting)
    hook_id = full_and_resumed(api, office, sender, monkeypatch)
    sender.due()
    assert state_of(office, hook_id) == "disabled", "the test above sees that"


def test_a_call_that_ends_in_a_fault_of_ours_is_a_try_like_any(api, office):
    hook_id, _ = hook_of(api)
    alarm(office)

    def broken(*_):
        raise ZeroDivisionError

    sender = Sender(office.store, TENANT, lambda: office.now_ms, call=broken)
    for wait_ms in (*WAITS_MS, 0):
        sender.drain(hook_id)
        office.now_ms += wait_ms + wait_ms // 5
    assert state_of(office, hook_id) == "disabled"
    assert waiting(office, hook_id)[0].answer.startswith("ZeroDivisionError")


def test_one_that_is_ended_is_told_nothing_more(api, office, sender, ends):
    key = api.key()
    hook_id, _ = hook_of(api, key)
    alarm(office)
    name = told(api.get("/webhooks", key))["items"][0]["id"]
    assert told(api.ask("DELETE", f"/webhooks/{name}", key))["state"] == "ended"
    assert told(api.post(f"/webhooks/{name}/resumption", key, once="again"))["state"] == "ended"
    alarm(office)
    sender.drain(hook_id)
    assert (ends.got, waiting(office, hook_id)) == ([], [])


def test_one_that_is_ended_while_it_is_told_stays_ended(api, office):
    key = api.key()
    hook_id, _ = hook_of(api, key)
    name = told(api.get("/webhooks", key))["items"][0]["id"]

    def ended_meanwhile(*_):
        api.ask("DELETE", f"/webhooks/{name}", key)
        return NOT_TAKEN

    alarm(office)
    Sender(office.store, TENANT, lambda: office.now_ms, call=ended_meanwhile).drain(hook_id)
    assert (state_of(office, hook_id), waiting(office, hook_id)) == ("ended", [])


def test_a_webhook_of_one_venue_hears_of_that_venue_alone(office):
    second_venue(office)
    api = Api(office)
    here, _ = hook_of(api, api.key("operator", VENUE))
    there, _ = hook_of(api, api.key("operator", OTHER_VENUE))
    every, _ = hook_of(api)
    alarm(office)
    alarm(office, hub_id=OTHER_VENUES_HUB)
    alarm(office, hub_id=TENANT)
    assert [len(waiting(office, hook_id)) for hook_id in (here, there, every)] == [1, 1, 3]


@pytest.mark.parametrize(
    "url",
    [
        "http://books.example/", "https://127.0.0.1/", "https://10.1.2.3/x", "https://[::1]/", "https://169.254.1.1/",
        "https://[::ffff:10.0.0.1]/", "https://a:b@books.example/", "https://", "https://224.0.0.1/", "https://0.0.0.0/",
        "https://100.64.0.1/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[64:ff9b:1::a00:1]/",
        "https://[::ffff:0:10.0.0.1]/", "https://[::10.0.0.1]/", "https://[fec0::1]/", "https://[2001:0:1::]/",
        "https://books.example:99999/",
    ],
)  # fmt: skip
def test_no_webhook_leads_inside(api, url):
    assert api.post("/webhooks", api.key(), {"url": url, "events": ALL}).status == 422


def test_a_build_that_takes_any_ipv6_is_caught(api, monkeypatch):
    monkeypatch.setattr(addresses, "_OUTSIDE", IPv6Network("::/0"))
    wish = {"url": "https://[64:ff9b:1::a00:1]/", "events": ALL}
    assert api.post("/webhooks", api.key(), wish).status == 201, "the test above sees that"


def test_a_name_that_leads_inside_is_not_called_unless_it_was_named(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("10.0.0.5", 443))])
    target = parsed("https://books.example/x?y=1")
    ends_s = monotonic() + calling.TIMEOUT_S
    assert "10.0.0.5 is no address of the outside" in located(target, (), ends_s=ends_s)
    assert located(target, {"books.example"}, ends_s=ends_s).address == "10.0.0.5"
    assert refusal_of("http://books.example/", {"books.example"}) == ""


@pytest.fixture
def got():
    """What came to the server of a test."""
    return []


@pytest.fixture
def serving(got):
    """Serve one address of this machine that takes events, and one that leads to it."""

    class End(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), body))
            self.send_response(302 if self.path == "/led" else 204)
            self.send_header("Location", "/taken")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    class Quiet(HTTPServer):
        def handle_error(self, *_):
            """Say nothing of one who hung up."""

    server = Quiet(("127.0.0.1", 0), End)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def listening(serving, got):
    return serving.server_port, got


def sent(office, port, path, scheme="http"):
    api = Api(office, private_hooks=frozenset({"127.0.0.1"}))
    wish = {"url": f"{scheme}://127.0.0.1:{port}{path}", "events": ALL}
    secret = bytes.fromhex(told(api.post("/webhooks", api.key(), wish))["secret"])
    alarm(office)
    with office.store.reading() as tx:
        hook = webhooks.hooks(tx, TENANT)[0]
        return secret, call(hook, webhooks.first_waiting(tx, TENANT, hook.hook_id), {"127.0.0.1"}, now_ms=WALL_MS)


def test_what_is_sent_is_signed_so_that_the_example_takes_it(office, listening):
    port, got = listening
    secret, came = sent(office, port, "/taken")
    assert came == Called(taken=True, answer="204")
    _path, headers, body = got[0]
    said, now_s = headers["Venuehub-Signature"], WALL_MS / 1_000
    assert (headers["Venuehub-Event"], json.loads(body)["event"]) == ("alarm.raised", "alarm.raised")
    assert is_ours(secret, said, body, now_s=now_s)
    assert not is_ours(secret, said, body + b" ", now_s=now_s)
    assert not is_ours(bytes(32), said, body, now_s=now_s)
    assert not is_ours(secret, said, body, now_s=now_s + OLDEST_S + 1)
    assert not is_ours(secret, said.replace("t=1", "t=2"), body, now_s=now_s)


def test_nobody_is_led_anywhere(office, listening):
    port, got = listening
    _secret, came = sent(office, port, "/led")
    assert (came, [path for path, *_ in got]) == (Called(taken=False, answer="302"), ["/led"])


def test_a_receiver_that_checks_no_signature_is_caught(monkeypatch):
    monkeypatch.setattr("examples.webhook_receiver.hmac.compare_digest", lambda _one, _other: True)
    forged = signature(bytes(32), b"{}", now_ms=WALL_MS)
    assert is_ours(bytes([1]) * 32, forged, b"{}", now_s=WALL_MS / 1_000), "the tests above see that"


def drips(office, monkeypatch):
    """Return what a call comes to whose receiver answers a byte each twentieth of a second, and if it heard all."""
    monkeypatch.setattr(calling, "TIMEOUT_S", 0.5)
    dripped = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)  # a machine so slow that nobody calls in time ends here too

        def drip():
            with suppress(OSError), server.accept()[0] as taken:
                taken.recv(65_536)
                for byte in b"HTTP/1.1 200 OK\r\n\r\n":
                    taken.send(bytes([byte]))
                    dripped.append(byte)
                    sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        came = sent(office, server.getsockname()[1], "/taken")[1]
        thread.join()
    return came, bytes(dripped).endswith(b"\r\n\r\n")


def test_who_drips_holds_a_call_no_longer_than_any(office, monkeypatch):
    came, heard_all = drips(office, monkeypatch)
    assert (came.taken, came.answer.partition(":")[0]) == (False, "TimeoutError")
    assert not heard_all, "it hung up before"


def test_a_build_that_times_each_read_alone_is_caught(office, monkeypatch):
    monkeypatch.setattr(calling, "_left_s", lambda _ends_s: calling.TIMEOUT_S)
    came, heard_all = drips(office, monkeypatch)
    assert heard_all or came.taken, "the test above sees that"


def test_nobody_there_is_told_as_what_it_is(office):
    _secret, came = sent(office, 1, "/taken")
    assert (came.taken, came.answer.partition(":")[0]) == (False, "ConnectionRefusedError")


@pytest.mark.parametrize("known", [True, False])
def test_by_https_only_a_certificate_that_is_known_is_told(office, serving, got, tmp_path, monkeypatch, known):
    make_office_tls(tmp_path, tenant_id=TENANT, tenant="Star Arcade", broker_hosts=("127.0.0.1",))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "broker.crt", tmp_path / "broker.pem")
    serving.socket = tls.wrap_socket(serving.socket, server_side=True)
    if known:
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.crt")
        monkeypatch.setattr("ssl.create_default_context", lambda: trusting)
    _secret, came = sent(office, serving.server_port, "/taken", scheme="https")
    assert (came.taken, len(got)) == (known, int(known))
    assert known or "CERTIFICATE_VERIFY_FAILED" in came.answer
