"""OPS-2: money goes back by the desk's rules, once for each Idempotency-Key, however often and however many ask."""

import asyncio
from contextlib import nullcontext

import pytest

from back_office.api import desk_routes, gate, once
from back_office.api.app import ROOT
from back_office.api.bearer import revoke_key
from back_office.store import acts, api_keys
from back_office.store.faults import StoreUnavailableError
from firmware_bridge.scripted import until
from tests.back_office.api.desk import HUB_TEXT, TOLD, Api, told
from tests.back_office.world import TENANT
from tests.support.asgi import ask

WISH = {"channel": "counter", "payment": "p1", "amount": 100}


@pytest.fixture
def paid(api, office):
    """A guest has paid 1,000."""
    office.top_up(1_000)
    return api


def test_a_payment_goes_back_and_the_audit_names_the_key(paid, office):
    answer = paid.post("/refunds", paid.key(name="shop"), WISH)
    assert answer.status == 201
    body = told(answer)
    assert (body["amount"], body["unit"], body["kept"], body["payment"]) == (100, "CNY", 0, "p1")
    assert office.purse() == 900
    with office.store.reading() as tx:
        line = acts.audit_lines(tx, TENANT)[0]
    assert (line.who, line.what) == ("api:shop", "refund booked")
    listed = told(paid.get("/refunds", paid.key("reader")))["items"]
    assert [(one["id"], one["amount"]) for one in listed] == [(body["id"], 100)]
    assert office.prove().ok


def test_the_same_again_is_answered_and_not_done_again(paid, office):
    key = paid.key()
    first = paid.post("/refunds", key, WISH)
    again = paid.post("/refunds", key, WISH)
    assert (again.status, again.body, again.headers["idempotency-replayed"]) == (201, first.body, "true")
    assert office.purse() == 900


def test_another_request_of_the_same_name_is_refused(paid, office):
    key = paid.key()
    paid.post("/refunds", key, WISH)
    assert paid.post("/refunds", key, {**WISH, "amount": 200}).status == 409
    assert paid.post(f"/documents?hub={HUB_TEXT}", key, {"name": "risk", "content": {}}).status == 409
    assert office.purse() == 900


def test_names_of_two_keys_are_two_names(paid, office):
    assert {paid.post("/refunds", paid.key(), WISH).status for _ in range(2)} == {201}
    assert office.purse() == 800


def test_no_more_goes_back_than_was_paid_and_the_refusal_is_kept(paid, office):
    key = paid.key()
    statuses = [paid.post("/refunds", key, {**WISH, "amount": 400}, once=f"n{n}").status for n in range(3)]
    assert statuses == [201, 201, 409]
    refused = paid.post("/refunds", key, {**WISH, "amount": 400}, once="n2")
    assert (refused.status, refused.headers["content-type"]) == (409, "application/problem+json")
    assert office.purse() == 200


def test_the_act_and_its_answer_are_kept_together_or_not_at_all(paid, office, monkeypatch):
    def lost(*_):
        message = "the disk is full"
        raise StoreUnavailableError(message)

    key = paid.key()
    with monkeypatch.context() as broken:
        broken.setattr(once.api_keys, "keep_answer", lost)
        answer = paid.post("/refunds", key, WISH)
    assert (answer.status, answer.headers["retry-after"], office.purse()) == (503, "5", 1_000)
    assert paid.post("/refunds", key, WISH).status == 201
    assert (office.purse(), office.prove().ok) == (900, True)


def test_a_build_that_keeps_no_answer_is_caught(paid, office, monkeypatch):
    monkeypatch.setattr(once.api_keys, "keep_answer", lambda *_: None)
    key = paid.key()
    wish = {"url": TOLD, "events": ["alarm.raised"]}
    ids = {told(paid.post("/webhooks", key, wish))["id"] for _ in range(2)}
    assert len(ids) == 2, "it did the same twice: the tests above see that"


def revoke_meanwhile(office, monkeypatch):
    """Let the key `shop` be revoked before the next transaction."""
    write = office.store.write

    def revoked_first(work):
        monkeypatch.undo()
        write(lambda tx: revoke_key(tx, TENANT, "shop", by="ann", now_ms=1))
        return write(work)

    monkeypatch.setattr(type(office.store), "write", lambda _self, work: revoked_first(work))


def test_a_key_that_is_revoked_meanwhile_does_nothing(paid, office, monkeypatch):
    key = paid.key(name="shop")
    revoke_meanwhile(office, monkeypatch)
    assert paid.post("/refunds", key, WISH).status == 401
    assert office.purse() == 1_000


@pytest.mark.long
def test_a_key_that_is_revoked_meanwhile_ends_no_webhook(paid, office, monkeypatch):
    key = paid.key(name="shop")
    made = told(paid.post("/webhooks", key, {"url": TOLD, "events": ["alarm.raised"]}))
    revoke_meanwhile(office, monkeypatch)
    assert paid.ask("DELETE", f"/webhooks/{made['id']}", key).status == 401
    assert [one["state"] for one in told(paid.get("/webhooks", paid.key()))["items"]] == ["active"]


@pytest.mark.long
def test_a_build_that_ends_one_without_asking_again_is_caught(paid, office, monkeypatch):
    monkeypatch.setattr(desk_routes, "must_count", lambda _tx, _asked: None)
    key = paid.key(name="shop")
    made = told(paid.post("/webhooks", key, {"url": TOLD, "events": ["alarm.raised"]}))
    with monkeypatch.context() as meanwhile:
        revoke_meanwhile(office, meanwhile)
        assert paid.ask("DELETE", f"/webhooks/{made['id']}", key).status == 200, "the test above sees that"


def test_old_answers_are_let_go_and_the_act_is_still_done_once(paid, office):
    key = paid.key()
    paid.post("/refunds", key, WISH)
    with office.store.writing() as tx:
        api_keys.forget_answers(tx, TENANT, before_ms=office.now_ms + 1)
    assert paid.post("/refunds", key, WISH).status == 201
    assert office.purse() == 900


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({**WISH, "payment": "p9"}, 404), ({**WISH, "amount": 0}, 422), ({**WISH, "amount": "5"}, 422),
        ({**WISH, "amount": True}, 422), ({**WISH, "amount": 1.5}, 422), ({**WISH, "amount": 10**13}, 422),
        ({**WISH, "to": "me"}, 422), ({"channel": "counter"}, 422), ({**WISH, "channel": "a\0b"}, 422),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told(paid, wish, status):
    answer = paid.post("/refunds", paid.key(), wish)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_refusal_that_time_mends_is_not_kept(paid, office):
    key = paid.key()
    office.worker.on_message(*office.hub.hello())
    office.lease()
    refused = paid.post("/refunds", key, WISH)
    assert (refused.status, "at hub" in told(refused)["detail"]) == (409, True)
    office.hub.returned(1_000)
    office.take(office.hub.batch())
    assert (paid.post("/refunds", key, WISH).status, office.purse()) == (201, 900)
    assert (paid.post("/refunds", key, WISH).headers["idempotency-replayed"], office.purse()) == ("true", 900)


def test_what_has_not_begun_is_not_reconciled(paid):
    key = paid.key("reader")
    answer = paid.get("/reconciliation?business_date=2099-01-01", key)
    assert (answer.status, "has not begun" in told(answer)["detail"]) == (422, True)


def test_an_act_without_a_name_is_refused(paid):
    assert paid.post("/refunds", paid.key(), WISH, once="").status == 422


def test_what_cannot_be_read_is_told(paid):
    key = paid.key()
    assert paid.ask("POST", "/refunds", key, raw=b"{", once="a").status == 400
    assert paid.ask("POST", "/refunds", key, raw=b" " * 300_000, once="a").status == 413
    plain = {"content-type": "text/plain"}
    assert paid.ask("POST", "/refunds", key, raw=b"{}", once="a", headers=plain).status == 415
    assert paid.ask("PUT", "/refunds", key).status == 405
    assert paid.ask("GET", "/nothing", key).headers["content-type"] == "application/problem+json"


def test_a_document_is_read_as_strictly_as_a_file(api, office):
    key, where = api.key(), f"/documents?hub={HUB_TEXT}"
    answer = api.post(where, key, {"name": "risk", "content": {"lease_cap": 5_000}})
    assert (answer.status, told(answer)["version"]) == (201, 1)
    wrong = api.post(where, key, {"name": "risk", "content": {"lease_kap": 5_000}}, once="n2")
    assert wrong.status == 422
    assert "lease_kap" in told(wrong)["detail"]
    assert api.post(where, key, {"name": "staff", "content": {}}, once="n3").status == 422
    assert [one["name"] for one in told(api.get(where, key))["items"]] == ["risk"]


def test_a_cursor_goes_on_where_the_page_ended_and_is_nobody_elses(paid):
    key = paid.key("reader")
    page = told(paid.get("/accounts?limit=1", key))
    rest = told(paid.get(f"/accounts?limit=1&cursor={page['next']}", key))
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (1, 1, None)
    assert page["items"] != rest["items"]
    changed = page["next"][:-1] + ("A" if page["next"][-1] != "A" else "B")
    assert paid.get(f"/accounts?cursor={changed}", key).status == 422
    assert paid.get(f"/hubs?cursor={page['next']}", key).status == 422


def test_only_so_many_at_once(paid):
    api = Api(paid.office)
    key = api.key("reader")
    bounds = api.app.build_middleware_stack()
    api.app.middleware_stack = bounds
    while type(bounds).__name__ != "Bounds":
        bounds = bounds.app
    bounds.slots.busy = gate.MOST_AT_ONCE
    answer = api.get("/hubs", key)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_a_body_that_does_not_come_is_not_waited_for(paid, monkeypatch):
    monkeypatch.setattr(gate, "BODY_S", 0.0)

    async def never(_request):
        await asyncio.Event().wait()

    monkeypatch.setattr(gate.Request, "body", never)
    assert paid.post("/refunds", paid.key(), WISH).status == 408


def _holds(paid, monkeypatch, *, holders):
    """Return how a reader of one key, and the last of so many bodies of another that do not come, are answered."""
    came, waiting = asyncio.Event(), []
    real = gate.Request.body

    async def body(request):
        if "x-holds" in request.headers:
            waiting.append(request)
            await came.wait()
        return await real(request)

    monkeypatch.setattr(gate.Request, "body", body)
    narrow, wide = ({"authorization": f"Bearer {paid.key('reader')}"} for _ in range(2))

    async def story():
        tasks = []
        for number in range(holders):
            held = ask(paid.app, f"{ROOT}/hubs", headers={**narrow, "x-holds": "1", "content-length": "10"})
            tasks.append(asyncio.create_task(held))
            await until(lambda expected=number: len(waiting) > expected or tasks[-1].done())
        answer = await ask(paid.app, f"{ROOT}/hubs", headers=wide)
        came.set()
        return answer.status, [(await task).status for task in tasks]

    return asyncio.run(story())


def test_bodies_that_do_not_come_keep_nobody_elses_requests_out(paid, monkeypatch):
    answer, held = _holds(paid, monkeypatch, holders=gate.MOST_BODIES + 1)
    assert (answer, held[-1]) == (200, 429)
    assert set(held[:-1]) <= {200, 503}


def test_a_build_that_keeps_the_slot_while_it_waits_is_caught(paid, monkeypatch):
    monkeypatch.setattr(gate.Slots, "lent", lambda _slots, _key_id: nullcontext())
    answer, _ = _holds(paid, monkeypatch, holders=gate.MOST_AT_ONCE)
    assert answer == 503


def test_takings_are_asked_for_a_year_at_most(paid):
    key = paid.key("reader")
    assert paid.get("/takings?first=2026-01-01&last=2026-12-31", key).status == 200
    assert paid.get("/takings?first=2020-01-01&last=2026-12-31", key).status == 422
