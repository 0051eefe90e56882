"""An API over an office's books, asked without a network, with keys of every role."""

import asyncio
import json

from back_office.api.access import Books
from back_office.api.app import ROOT, make_api
from back_office.api.bearer import make_key
from back_office.store import places
from back_office.store.places import Venue
from payment_core.identifiers import uuid_text
from tests.back_office.world import HUB, TENANT, VENUE, WALL_MS
from tests.support.asgi import Answer, ask

OTHER_VENUE = bytes.fromhex("019399a0000070008000000000000012")
OTHER_VENUES_HUB = bytes.fromhex("019399a0000070008000000000000013")
CURSOR_KEY = bytes(32)
HUB_TEXT, VENUE_TEXT, OTHER_VENUE_TEXT = uuid_text(HUB), uuid_text(VENUE), uuid_text(OTHER_VENUE)
TOLD = "https://books.example/hook"


class Api:
    """The API over an office; `key` makes a key, `get`, `post` and `delete` ask with one."""

    def __init__(self, office, *, private_hooks=frozenset()):
        self.office = office
        self.seconds = 0.0
        books = Books(
            office.store, TENANT, CURSOR_KEY, lambda: office.now_ms, private_hooks, lambda: self.seconds
        )  # fmt: skip
        self.app = make_api(books)
        self.number = 0

    def key(self, role="operator", venue=None, name="") -> str:
        self.number += 1
        with self.office.store.writing() as tx:
            made = make_key(
                tx, TENANT, name=name or f"{role}-{self.number}", role=role, venue_id=venue, by="ann", now_ms=WALL_MS
            )
        return made.text

    def ask(self, method, path, key="", *, body=None, once="", raw=None, headers=None) -> Answer:
        sent = {"authorization": f"Bearer {key}"} if key else {}
        sent |= {"idempotency-key": once} if once else {}
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent |= {"content-type": "application/json"} if data else {}
        whole = path if path.startswith(ROOT) else ROOT + path
        return asyncio.run(ask(self.app, whole, method=method, headers={**sent, **(headers or {})}, body=data))

    def get(self, path, key) -> Answer:
        return self.ask("GET", path, key)

    def post(self, path, key, body=None, once="n1") -> Answer:
        return self.ask("POST", path, key, body=body, once=once)


def told(answer):
    return json.loads(answer.body)


def second_venue(office):
    """Give the operator a second venue with a hub of its own."""
    with office.store.writing() as tx:
        places.add_venue(tx, Venue(TENANT, OTHER_VENUE, "Zoo", "Asia/Shanghai", 360, 2_000_000))
        hub = places.hub(tx, TENANT, HUB)
        place = {"hub_id": OTHER_VENUES_HUB, "venue_id": OTHER_VENUE, "name": "zoo"}
        places.add_hub(tx, type(hub)(**{**{name: getattr(hub, name) for name in hub.__struct_fields__}, **place}))
