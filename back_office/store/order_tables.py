"""The tables of payment orders and paid slips as the queries see them; they belong to the METADATA of tables.py."""

from typing import Final

from sqlalchemy import Table

from back_office.store.tables import METADATA
from back_office.store.types import RAW, TEXT, WHOLE, key, value

ORDERS: Final = Table(
    "orders", METADATA, key("tenant_id", RAW), key("order_id", RAW), value("venue_id", RAW), value("purpose", TEXT),
    value("channel", TEXT), value("account_id", RAW), value("unit", TEXT), value("amount", WHOLE), value("lane", TEXT),
    value("state", TEXT), value("created_ms", WHOLE), value("expires_ms", WHOLE), value("code", TEXT),
    value("payment_id", TEXT), value("paid_unit", TEXT), value("paid", WHOLE), value("refunded", WHOLE),
    value("closing", WHOLE), value("tries", WHOLE), value("due_ms", WHOLE, optional=True), value("steps", WHOLE),
    value("changed_ms", WHOLE),
)  # fmt: skip
ORDER_STEPS: Final = Table(
    "order_steps", METADATA, key("tenant_id", RAW), key("order_id", RAW), key("step_no", WHOLE), value("at_ms", WHOLE),
    value("step", TEXT), value("state", TEXT), value("why", TEXT),
)  # fmt: skip
ORDER_REFUNDS: Final = Table(
    "order_refunds", METADATA, key("tenant_id", RAW), key("order_id", RAW), key("refund_id", RAW),
    value("amount", WHOLE), value("automatic", WHOLE), value("booked", WHOLE), value("state", TEXT),
    value("asked_ms", WHOLE),
)  # fmt: skip
ORDER_NOTICES: Final = Table(
    "order_notices", METADATA, key("tenant_id", RAW), key("channel", TEXT), key("notice_id", TEXT),
    value("content", RAW), value("at_ms", WHOLE),
)  # fmt: skip
SLIPS: Final = Table(
    "slips", METADATA, key("tenant_id", RAW), key("slip_id", RAW), value("venue_id", RAW), value("account_id", RAW),
    value("hub_id", RAW, optional=True),
    value("unit", TEXT), value("amount", WHOLE), value("lot", RAW), value("lane", TEXT), value("issued_ms", WHOLE),
    value("valid_until_ms", WHOLE), value("text", TEXT),
)  # fmt: skip
SLIP_REPORTS: Final = Table(
    "slip_reports", METADATA, key("tenant_id", RAW), key("hub_id", RAW), value("clear_ms", WHOLE),
)  # fmt: skip
