"""The office's tables as the queries see them. Constraints and triggers stand in the migrations; a test compares both.

Every primary key begins with `tenant_id`. `hub_id` in chains, entries and postings is the writer: a hub, or the tenant
itself for the office's own stream.
"""

from typing import Final

from sqlalchemy import MetaData, Table

from back_office.store.types import RAW, TEXT, WHOLE, key, value

METADATA: Final = MetaData()

TENANTS: Final = Table(
    "tenants", METADATA, key("tenant_id", RAW), value("name", TEXT), value("created_ms", WHOLE),
)  # fmt: skip
VENUES: Final = Table(
    "venues", METADATA, key("tenant_id", RAW), key("venue_id", RAW), value("name", TEXT), value("timezone", TEXT),
    value("day_begins_minute", WHOLE), value("hub_lease_cap", WHOLE),
)  # fmt: skip
HUBS: Final = Table(
    "hubs", METADATA, key("tenant_id", RAW), key("hub_id", RAW), value("venue_id", RAW), value("name", TEXT),
    value("sign_key", RAW), value("seal_key", RAW), value("enrolled_ms", WHOLE), value("epoch", WHOLE),
    value("allowed_epoch", WHOLE), value("frozen", TEXT), value("hello_number", WHOLE), value("nonce", RAW),
    value("last_seen_ms", WHOLE, optional=True), value("sealed_seq", WHOLE),
    value("outbox_entries", WHOLE), value("outbox_age_ms", WHOLE), value("closed_ms", WHOLE, optional=True),
    value("closed_epoch", WHOLE), value("reopened", TEXT), value("risk_version", WHOLE),
    value("risk_from", WHOLE), value("told_epoch", WHOLE), value("told_through", WHOLE),
    value("told_ms", WHOLE, optional=True),
)  # fmt: skip
CHAINS: Final = Table(
    "chains", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
    value("rec_seq", WHOLE), value("tail_hash", RAW), value("batch_seq", WHOLE), value("batch_hash", RAW),
)  # fmt: skip
BATCHES: Final = Table(
    "batches", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
    key("batch_seq", WHOLE), value("hash", RAW), value("first_rec", WHOLE), value("rec_count", WHOLE),
    value("received_ms", WHOLE), value("sealed", RAW),
)  # fmt: skip
EVIDENCE: Final = Table(
    "evidence", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("hash", RAW), value("kind", TEXT),
    value("why", TEXT), value("epoch", WHOLE), value("batch_seq", WHOLE), value("received_ms", WHOLE),
    value("sealed", RAW),
)  # fmt: skip
ACCOUNTS: Final = Table(
    "accounts", METADATA, key("tenant_id", RAW), key("account_no", WHOLE), value("kind", TEXT), value("key", TEXT),
    value("scope_id", RAW),
)  # fmt: skip
ENTRIES: Final = Table(
    "entries", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
    key("seq", WHOLE), value("type", WHOLE), value("version", WHOLE), value("record", RAW), value("hash", RAW),
    value("business_date", WHOLE), value("wall_ms", WHOLE), value("authorization_id", RAW, optional=True),
    value("machine", TEXT, optional=True), value("received_ms", WHOLE), value("posted", RAW),
)  # fmt: skip
POSTINGS: Final = Table(
    "postings", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
    key("seq", WHOLE), key("line", WHOLE), value("account_no", WHOLE), value("unit", TEXT), value("amount", WHOLE),
)  # fmt: skip
BALANCES: Final = Table(
    "balances", METADATA, key("tenant_id", RAW), key("account_no", WHOLE), key("unit", TEXT), value("kind", TEXT),
    value("amount", WHOLE),
)  # fmt: skip
DAYS: Final = Table(
    "days", METADATA, key("tenant_id", RAW), key("business_date", WHOLE), key("type", WHOLE), key("tender", WHOLE),
    key("account_no", WHOLE), key("unit", TEXT), value("amount", WHOLE), value("postings", WHOLE),
)  # fmt: skip
TAKINGS: Final = Table(
    "takings", METADATA, key("tenant_id", RAW), key("venue_id", RAW), key("business_date", WHOLE), key("hub_id", RAW),
    key("machine", TEXT), key("lane", TEXT), key("shift", TEXT), key("type", WHOLE), key("tender", WHOLE),
    key("kind", TEXT), key("unit", TEXT), key("told_in", WHOLE), value("amount", WHOLE), value("entries", WHOLE),
)  # fmt: skip
CLOSINGS: Final = Table(
    "closings", METADATA, key("tenant_id", RAW), key("venue_id", RAW), key("z_no", WHOLE),
    value("business_date", WHOLE), value("body", RAW), value("hash", RAW), value("prev_hash", RAW),
    value("made_ms", WHOLE), value("by", TEXT),
)  # fmt: skip
LATE_ENTRIES: Final = Table(
    "late_entries", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
    key("seq", WHOLE), value("venue_id", RAW), value("business_date", WHOLE), value("told_in", WHOLE),
)  # fmt: skip
LEASES: Final = Table(
    "leases", METADATA, key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("hub_id", RAW),
    key("epoch", WHOLE), key("lot", RAW), value("granted", WHOLE), value("settled", WHOLE),
    value("overclaimed", WHOLE), value("granted_seq", WHOLE), value("taken", WHOLE), value("moved", WHOLE),
    value("beyond", WHOLE),
)  # fmt: skip
LOTS: Final = Table(
    "lots", METADATA, key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("lot", RAW),
    value("kind", WHOLE), value("opened_ms", WHOLE), value("expires_ms", WHOLE, optional=True),
    value("channel", TEXT), value("payment_id", TEXT), value("terms", WHOLE), value("deposited", WHOLE),
    value("covered", WHOLE), value("paid_out", WHOLE), value("available", WHOLE), value("forgotten", WHOLE),
)  # fmt: skip
PASSING: Final = Table(
    "passing", METADATA, key("tenant_id", RAW), key("pass_id", RAW), key("to_hub", RAW), key("unit", TEXT),
    key("lot", RAW), value("account_id", RAW), value("from_hub", RAW), value("given", WHOLE), value("taken", WHOLE),
    value("returned", WHOLE), value("risked", WHOLE), value("given_ms", WHOLE, optional=True),
    value("taken_ms", WHOLE, optional=True), value("taker", RAW),
)  # fmt: skip
ACTS: Final = Table(
    "acts", METADATA, key("tenant_id", RAW), key("kind", TEXT), key("act_id", RAW), value("content", RAW),
    value("office_seq", WHOLE), value("at_ms", WHOLE),
)  # fmt: skip
AUDIT: Final = Table(
    "audit", METADATA, key("tenant_id", RAW), key("audit_no", WHOLE), value("at_ms", WHOLE), value("who", TEXT),
    value("what", TEXT), value("subject_id", RAW), value("note", TEXT), value("prev_hash", RAW), value("hash", RAW),
)  # fmt: skip
METERS: Final = Table(
    "meters", METADATA, key("tenant_id", RAW), key("venue_id", RAW), key("machine", TEXT), key("meter", TEXT),
    value("worth", WHOLE), value("unit", TEXT), value("digits", WHOLE), value("since_ms", WHOLE), value("by", TEXT),
)  # fmt: skip
METER_READINGS: Final = Table(
    "meter_readings", METADATA, key("tenant_id", RAW), key("venue_id", RAW), key("machine", TEXT), key("meter", TEXT),
    key("reading_no", WHOLE), value("value", WHOLE), value("reset", WHOLE), value("business_date", WHOLE),
    value("at_ms", WHOLE), value("by", TEXT), value("note", TEXT),
)  # fmt: skip
TERMS: Final = Table(
    "terms", METADATA, key("tenant_id", RAW), key("version", WHOLE), value("body", RAW), value("created_ms", WHOLE),
)  # fmt: skip
PAYMENTS: Final = Table(
    "payments", METADATA, key("tenant_id", RAW), key("channel", TEXT), key("payment_id", TEXT),
    value("account_id", RAW), value("unit", TEXT), value("amount", WHOLE), value("office_seq", WHOLE),
)  # fmt: skip
GUEST_ACCOUNTS: Final = Table(
    "guest_accounts", METADATA, key("tenant_id", RAW), key("account_id", RAW), value("masked_name", TEXT),
    value("language", TEXT), value("tier", TEXT), value("age_band", TEXT), value("created_ms", WHOLE),
)  # fmt: skip
CREDENTIALS: Final = Table(
    "credentials", METADATA, key("tenant_id", RAW), key("credential_id", RAW), value("account_id", RAW),
    value("media", TEXT), value("class", TEXT), value("status", TEXT), value("version", WHOLE),
    value("tap_limit", WHOLE, optional=True), value("day_limit", WHOLE, optional=True),
    value("valid_until_ms", WHOLE, optional=True), value("token_key", RAW), value("life", WHOLE),
    value("rights", TEXT), value("zones", TEXT), value("venues", TEXT), value("step_up", WHOLE), value("group", TEXT),
)  # fmt: skip
TOKEN_READINGS: Final = Table(
    "token_readings", METADATA, key("tenant_id", RAW), key("credential_id", RAW), key("counter", WHOLE),
    value("hub_id", RAW), value("epoch", WHOLE), value("seq", WHOLE), value("wall_ms", WHOLE), value("known", WHOLE),
)  # fmt: skip
DOCUMENTS: Final = Table(
    "documents", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("name", TEXT), key("version", WHOLE),
    value("body", RAW), value("created_ms", WHOLE),
)  # fmt: skip
ALARMS: Final = Table(
    "alarms", METADATA, key("tenant_id", RAW), key("alarm_no", WHOLE), value("kind", TEXT), value("subject_id", RAW),
    value("text", TEXT), value("raised_ms", WHOLE),
)  # fmt: skip
PARTITION_LEASES: Final = Table(
    "partition_leases", METADATA, key("tenant_id", RAW), key("partition", WHOLE), value("worker", TEXT),
    value("epoch", WHOLE), value("until_ms", WHOLE), value("asked_by", TEXT), value("asked_until_ms", WHOLE),
)  # fmt: skip
SIGNERS: Final = Table(
    "signers", METADATA, key("tenant_id", RAW), key("public", RAW), value("name", TEXT),
    value("venue_id", RAW, optional=True), value("since_ms", WHOLE), value("until_ms", WHOLE, optional=True),
    value("added_by", TEXT), value("removed_by", TEXT),
)  # fmt: skip
SET_BACK: Final = Table(
    "set_back", METADATA, key("tenant_id", RAW), key("hub_id", RAW), value("declared", WHOLE), value("since_ms", WHOLE),
)  # fmt: skip
CARD_STOCK: Final = Table(
    "card_stock", METADATA, key("tenant_id", RAW), key("credential_id", RAW), value("media", TEXT),
    value("state", TEXT), value("token_key", RAW),
)  # fmt: skip
CARD_STEPS: Final = Table(
    "card_steps", METADATA, key("tenant_id", RAW), key("credential_id", RAW), key("step_no", WHOLE),
    value("state", TEXT), value("at_ms", WHOLE), value("who", TEXT), value("note", TEXT),
)  # fmt: skip
CONSENTS: Final = Table(
    "consents", METADATA, key("tenant_id", RAW), key("consent_id", RAW), value("account_id", RAW),
    value("hub_id", RAW), value("of", TEXT), value("text_version", TEXT), value("given_ms", WHOLE),
    value("staff", TEXT), value("guardian", TEXT), value("relation", TEXT), value("withdrawn_ms", WHOLE, optional=True),
    value("withdrawn_by", TEXT),
)  # fmt: skip
TEMPLATES: Final = Table(
    "templates", METADATA, key("tenant_id", RAW), key("credential_id", RAW), key("life", WHOLE),
    value("consent_id", RAW), value("account_id", RAW), value("hub_id", RAW), value("media", TEXT),
    value("device", TEXT), value("page", WHOLE), value("enrolled_ms", WHOLE), value("deleted_ms", WHOLE, optional=True),
)  # fmt: skip
CONSENTS_ENDED: Final = Table(
    "consents_ended", METADATA, key("tenant_id", RAW), key("account_id", RAW), value("at_ms", WHOLE), value("by", TEXT),
    value("hub_id", RAW),
)  # fmt: skip
RECEIVE_KEYS: Final = Table(
    "receive_keys", METADATA, key("tenant_id", RAW), key("number", WHOLE), value("public", RAW),
    value("since_ms", WHOLE), value("retired_ms", WHOLE, optional=True), value("retired_by", TEXT),
)  # fmt: skip
TRUST_HEARD: Final = Table(
    "trust_heard", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("version", WHOLE), value("epoch", WHOLE),
    value("sealed_seq", WHOLE), value("heard_ms", WHOLE),
)  # fmt: skip
TELEMETRY_CHAINS: Final = Table(
    "telemetry_chains", METADATA, key("tenant_id", RAW), key("hub_id", RAW), value("epoch", WHOLE),
    value("rec_seq", WHOLE), value("tail_hash", RAW), value("batch_seq", WHOLE), value("batch_hash", RAW),
    value("received_ms", WHOLE), value("forked_epoch", WHOLE),
)  # fmt: skip
HUB_HEALTH: Final = Table(
    "hub_health", METADATA, key("tenant_id", RAW), key("hub_id", RAW), value("at_ms", WHOLE),
    value("received_ms", WHOLE), value("record", RAW), value("dropped", WHOLE), value("passed", WHOLE),
)  # fmt: skip
DEVICE_STATES: Final = Table(
    "device_states", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("device", TEXT), value("state", TEXT),
    value("since_ms", WHOLE), value("at_ms", WHOLE),
)  # fmt: skip
HUB_DAYS: Final = Table(
    "hub_days", METADATA, key("tenant_id", RAW), key("business_date", WHOLE), key("hub_id", RAW), key("epoch", WHOLE),
    value("after_seq", WHOLE), value("through_seq", WHOLE), value("at_ms", WHOLE), value("record", RAW),
)  # fmt: skip
API_KEYS: Final = Table(
    "api_keys", METADATA, key("tenant_id", RAW), key("key_id", TEXT), value("name", TEXT), value("role", TEXT),
    value("venue_id", RAW, optional=True), value("secret_hash", RAW), value("created_ms", WHOLE),
    value("created_by", TEXT), value("revoked_ms", WHOLE, optional=True), value("revoked_by", TEXT),
)  # fmt: skip
API_ANSWERS: Final = Table(
    "api_answers", METADATA, key("tenant_id", RAW), key("key_id", TEXT), key("once", TEXT), value("request_hash", RAW),
    value("status", WHOLE), value("body", RAW), value("at_ms", WHOLE),
)  # fmt: skip
WEBHOOKS: Final = Table(
    "webhooks", METADATA, key("tenant_id", RAW), key("hook_id", RAW), value("url", TEXT), value("events", TEXT),
    value("venue_id", RAW, optional=True), value("secret", RAW), value("state", TEXT), value("last_no", WHOLE),
    value("created_ms", WHOLE), value("created_by", TEXT),
)  # fmt: skip
DELIVERIES: Final = Table(
    "deliveries", METADATA, key("tenant_id", RAW), key("hook_id", RAW), key("number", WHOLE), value("event", TEXT),
    value("body", RAW), value("made_ms", WHOLE), value("attempts", WHOLE), value("due_ms", WHOLE),
    value("state", TEXT), value("done_ms", WHOLE, optional=True), value("answer", TEXT),
)  # fmt: skip
