"""What `office verify` knowingly does not prove, and why: every other column of the books is proven.

A column is named `table.column`, a whole table `table`. A test flips bytes in every column that is not named here, and
fails on a table that is new and in neither.
"""

from typing import Final

_IDENTITY: Final = "says who exists and is trusted, not what moved; what it does wrong is refused when it is used"
_PEOPLE: Final = "is about people and cards, not money; hubs get it signed, and who reads it checks it"
_ORDERS: Final = "what a payment channel says of its orders; the money of it is a top-up, which is proven"
_TOLD: Final = "is told and decides nothing; what it is about is proven where it stands"
_TELEMETRY: Final = "is what hubs tell beside their journals: it may be dropped, and no money is in it"
_METERS: Final = "is what a person said of a counter: reconciliation lays it beside the books, no book is made of it"

NOT_PROVEN: Final[dict[str, str]] = {
    "tenants": _IDENTITY,
    "venues": _IDENTITY,
    "hubs": _IDENTITY,
    "signers": _IDENTITY,
    "receive_keys": _IDENTITY,
    "trust_heard": _IDENTITY,
    "documents": _IDENTITY,
    "terms": _IDENTITY,
    "set_back": _IDENTITY,
    "guest_accounts": _PEOPLE,
    "credentials": _PEOPLE,
    "token_readings": _PEOPLE,
    "card_stock": _PEOPLE,
    "card_steps": _PEOPLE,
    "consents": _PEOPLE,
    "consents_ended": _PEOPLE,
    "templates": _PEOPLE,
    "card_uses": _PEOPLE,
    "cells": _IDENTITY,
    "partition_leases": "who works on what just now: nothing of the books rests on it",
    "orders": _ORDERS,
    "order_steps": _ORDERS,
    "order_refunds": _ORDERS,
    "order_notices": _ORDERS,
    "slips": _ORDERS,
    "slip_reports": _ORDERS,
    "alarms": _TOLD,
    "meters": _METERS,
    "risk_rules": _IDENTITY,
    "risk_marks": _TOLD,
    "telemetry_chains": _TELEMETRY,
    "hub_health": _TELEMETRY,
    "device_states": _TELEMETRY,
    "hub_days": _TELEMETRY,
    "acts": "an act's answer, so that it is done once; what it did is an entry",
    "api_keys": _IDENTITY,
    "api_answers": "an answer of the API, so that it is given once; what it did is an entry",
    "webhooks": _IDENTITY,
    "deliveries": _TOLD,
    "balances.tenant_id": "a balance of nothing that is gone says what it said; any other is missed",
    "audit.tenant_id": "its last line gone is an audit that was cut off: what was kept outside finds that, no table",
    "evidence.tenant_id": "what is kept aside and not booked moved nothing; one that is gone is told by its alarm",
    "evidence.kind": _TOLD,
    "evidence.why": _TOLD,
    "evidence.received_ms": _TOLD,
    "cell_inbox.hash": "of the other cell's entry, which that cell's books prove",
    "cell_inbox.taken_ms": _TOLD,
    "cell_outbox.sent_ms": _TOLD,
    "cell_outbox.taken_ms": "whether the other cell has it that cell's inbox says; what is taken again is not booked",
    "passing.risked": "how much of a voucher the venue stands for: the over-claim itself is a posting under its seal",
    "passing.given_ms": "when its giver was heard; whether it was, its sums say",
    "passing.taken_ms": "when its taker was heard; whether it was, its sums say",
}
"""By table or column: why it is not proven."""
