"""OPS-1, OPS-5: who may ask what: every route with every role and venue, as the API's own description lists them."""

import itertools
import json
import re

import pytest

from back_office.api import access, bearer, rates
from back_office.api.app import make_document
from back_office.api.bearer import revoke_key
from back_office.fleet.documents import keep_document
from back_office.ledger.closing import Z, make_z
from back_office.ledger.desk import Desk, TopUp, venue_of
from back_office.store import papers
from back_office.store.papers import Alarm
from payment_core.identifiers import uuid_text
from payment_core.policy import RiskDocument
from tests.back_office.api.desk import (
    OTHER_VENUE,
    OTHER_VENUES_HUB,
    TOLD,
    Api,
    second_venue,
    told,
)
from tests.back_office.world import DAY, GUEST, HUB, TENANT, VENUE

pytestmark = pytest.mark.long
DOCUMENT = make_document()
ROUTES = [
    (path, method.upper(), said) for path, methods in DOCUMENT["paths"].items() for method, said in methods.items()
]
ROLES = ("reader", "operator", "auditor")
AUDITORS_ALONE = {"list_keys", "list_audit"}
HOOKS = {"list_webhooks", "list_deliveries"}
ALL_VENUES = {
    "list_accounts",
    "read_account",
    "read_account_statement",
    "read_statement",
    "read_trial",
} | AUDITORS_ALONE
WHERE = {VENUE: ("p1", HUB), OTHER_VENUE: ("p2", OTHER_VENUES_HUB)}
TWO_DAYS_MS = 2 * 86_400_000
SOON = "2026-11-22"


def roles_of(operation, method):
    """Say who may, as docs/api.md does; not read from the table that is tested."""
    if operation in AUDITORS_ALONE:
        return {"auditor"}
    if operation in HOOKS:
        return {"operator", "auditor"}
    return set(ROLES) if method == "GET" else {"operator"}


def some_books(office):
    """Give each of two venues a hub, a payment, a Z and a webhook; return the webhooks."""
    second_venue(office)
    office.top_up(5_000)
    office.now_ms += TWO_DAYS_MS
    with office.store.writing() as tx:
        there = Desk(tx, TENANT, venue_of(tx, TENANT, OTHER_VENUE), now_ms=office.now_ms)
        there.top_up(TopUp(account_id=GUEST, unit="CNY", amount=5_000, channel="counter", payment_id="p2"))
        for venue_id in WHERE:
            made = make_z(tx, TENANT, venue_of(tx, TENANT, venue_id), DAY, by="ann", now_ms=office.now_ms)
            assert isinstance(made, Z)
            hub_id = WHERE[venue_id][1]
            keep_document(tx, TENANT, hub_id, "risk", RiskDocument(version=0), now_ms=office.now_ms)
            papers.raise_alarm(tx, TENANT, Alarm("odd", hub_id, "look", office.now_ms))
    api, hooks = Api(office), {}
    key = api.key()
    for venue_id in WHERE:
        wish = {"url": TOLD, "events": ["alarm.raised"]}
        answer = api.post(f"/webhooks?venue={uuid_text(venue_id)}", key, wish, once=venue_id.hex())
        hooks[venue_id] = told(answer)["id"]
    return api, hooks


def request_of(path, said, venue_id, hooks):
    """Return what to ask of a route so that it is about one venue, with an answer to be had."""
    payment, hub_id = WHERE[venue_id]
    filled = path.format(
        hub=uuid_text(hub_id), account=uuid_text(GUEST), z_no=1, name="risk", hook=hooks[venue_id],
    )  # fmt: skip
    values = {
        "hub": uuid_text(hub_id), "venue": uuid_text(venue_id), "kind": "psp_clearing", "key": "counter", "first": SOON,
        "last": SOON, "business_date": SOON,
    }  # fmt: skip
    names = [one["name"] for one in said.get("parameters", []) if one["in"] == "query"]
    query = "&".join(f"{name}={values[name]}" for name in names if name in values)
    bodies = {
        "create_refund": {"channel": "counter", "payment": payment, "amount": 1},
        "publish_document": {"name": "risk", "content": {}},
        "create_webhook": {"url": TOLD, "events": ["closing.made"]},
    }
    return f"{filled}?{query}", bodies.get(said["operationId"])


def unexpected(api, hooks):
    """Ask every route with every kind of key about either venue; return what was answered otherwise than it must be."""
    scopes = (None, VENUE, OTHER_VENUE)
    keys = {(role, scope): api.key(role, scope) for role, scope in itertools.product(ROLES, scopes)}
    wrong, number = [], 0
    for (path, method, said), venue_id in itertools.product(ROUTES, WHERE):
        operation = said["operationId"]
        asked, body = request_of(path, said, venue_id, hooks)
        for (role, scope), key in keys.items():
            number += 1
            got = api.ask(method, asked, key, body=body, once=f"n{number}").status
            if role not in roles_of(operation, method) or (operation in ALL_VENUES and scope is not None):
                wanted = {403}
            elif operation not in ALL_VENUES and scope not in {None, venue_id}:
                wanted = {404}
            else:
                wanted = {200, 201}
            if got not in wanted:
                wrong.append((operation, role, scope and scope.hex(), venue_id.hex(), got))
    return wrong


def test_every_route_lets_in_whom_it_must_and_nobody_else(office):
    api, hooks = some_books(office)
    assert unexpected(api, hooks) == []
    assert {said["operationId"] for _path, _method, said in ROUTES} == access.OPERATIONS.keys()


def test_a_build_that_does_not_check_the_venue_is_caught(office, monkeypatch):
    api, hooks = some_books(office)
    monkeypatch.setattr(access, "in_scope", lambda _key, _venue_id: True)
    wrong = unexpected(api, hooks)
    assert {operation for operation, *_ in wrong} == access.OPERATIONS.keys()


@pytest.mark.parametrize("key", ["", "vh_", "vh_0123456789ab_" + "0" * 64, "Bearer"])
def test_without_a_key_that_counts_nothing_is_said(api, key):
    for path, method, _said in ROUTES:
        answer = api.ask(method, path, key, body={} if method == "POST" else None)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), path


def test_a_lists_items_are_those_of_the_keys_venue_alone(office):
    second_venue(office)
    api = Api(office)
    key = api.key("reader", OTHER_VENUE)
    assert [one["name"] for one in told(api.get("/hubs", key))["items"]] == ["zoo"]
    assert [one["name"] for one in told(api.get("/venues", key))["items"]] == ["Zoo"]
    with office.store.writing() as tx:
        for subject in (HUB, OTHER_VENUES_HUB, TENANT, OTHER_VENUE):
            papers.raise_alarm(tx, TENANT, Alarm("odd", subject, "look", office.now_ms))
    found = [one["subject"] for one in told(api.get("/alarms", key))["items"]]
    assert found == [OTHER_VENUES_HUB.hex(), OTHER_VENUE.hex()]
    assert len(told(api.get("/alarms", api.key("reader")))["items"]) == 4


def test_a_revoked_key_counts_no_more_from_its_next_request_on(api, office):
    key = api.key("reader", name="export")
    assert api.get("/hubs", key).status == 200
    with office.store.writing() as tx:
        assert revoke_key(tx, TENANT, "export", by="bob", now_ms=office.now_ms).revoked_by == ""
        assert revoke_key(tx, TENANT, "export", by="bob", now_ms=office.now_ms) is None
    assert api.get("/hubs", key).status == 401
    lines = told(api.get("/audit", api.key("auditor")))["items"]
    assert [(one["who"], one["what"]) for one in lines[:2]] == [
        ("ann", "api key export made: reader"), ("bob", "api key export revoked"),
    ]  # fmt: skip


@pytest.mark.sqlite
def test_a_key_is_named_by_its_beginning_and_kept_as_a_hash(api, office):
    text = api.key("reader", name="export")
    assert re.fullmatch(r"vh_[0-9a-f]{12}_[0-9a-f]{64}", text)
    row = told(api.get("/keys", api.key("auditor")))["items"]
    assert text.split("_")[1] in {one["id"] for one in row}
    everything = office.file.read_bytes() + office.file.with_name(office.file.name + "-wal").read_bytes()
    assert text.split("_")[2].encode() not in everything
    assert bytes.fromhex(text.split("_")[2]) not in everything


def test_a_build_that_compares_no_secret_is_caught(api, monkeypatch):
    key = api.key("reader")
    forged = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert api.get("/hubs", forged).status == 401
    monkeypatch.setattr(bearer.hmac, "compare_digest", lambda _one, _other: True)
    assert api.get("/hubs", forged).status == 200


def test_two_living_keys_have_two_names(api, office):
    api.key("reader", name="export")
    with office.store.writing() as tx:
        again = bearer.make_key(tx, TENANT, name="export", role="reader", venue_id=None, by="ann", now_ms=1)
    assert "export" in again


def test_who_asks_too_often_is_asked_to_wait(api, monkeypatch):
    monkeypatch.setattr(rates, "BURST", 3.0)
    key = api.key("reader")
    statuses = [api.get("/hubs/x", key).status for _ in range(4)]
    assert (statuses[0], statuses[-1]) == (422, 429)
    api.seconds += 1
    assert api.get("/hubs/x", key).status == 422
    assert json.loads(api.get("/hubs/x", api.key("reader")).body)["status"] == 422
