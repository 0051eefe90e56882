"""Keys of the API: made, and recognized by a hash that is compared in constant time. `vh_<id>_<secret>`."""

import hmac
import re
import secrets
from hashlib import sha256
from typing import Final

import msgspec

from back_office.store import acts, api_keys
from back_office.store.acts import AuditLine
from back_office.store.api_keys import ApiKey, Role
from back_office.store.engine import Transaction

_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(r"vh_([0-9a-f]{12})_([0-9a-f]{64})")
_NOBODY: Final = sha256(b"").digest()
"""Compared where there is no such key, so that it takes as long."""


class Made(msgspec.Struct, frozen=True):
    """A key that was made just now; `text` is shown once and kept nowhere."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"Made({self.key.key_id})"


def make_key(
    tx: Transaction, tenant_id: bytes, *, name: str, role: Role, venue_id: bytes | None, by: str, now_ms: int
) -> Made | str:
    """Make a key and write its hash and the audit's line; a text says why there is none."""
    if any(known.name == name and known.revoked_ms is None for known in api_keys.keys(tx, tenant_id)):
        return f"there is a key named {name!r} that counts"
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    key = ApiKey(key_id, name, role, venue_id, _hash(secret), now_ms, by)
    api_keys.add_key(tx, tenant_id, key)
    where = venue_id or tenant_id
    acts.audit(tx, tenant_id, AuditLine(now_ms, by, f"api key {name} made: {role}", where, key_id))
    return Made(key, f"vh_{key_id}_{secret}")


def revoke_key(tx: Transaction, tenant_id: bytes, name: str, *, by: str, now_ms: int) -> ApiKey | None:
    """Let a key, told by its id or name, count no more; None: no key of that name counts."""
    living = (key for key in api_keys.keys(tx, tenant_id) if key.revoked_ms is None and name in {key.key_id, key.name})
    key = next(living, None)
    if key is not None:
        api_keys.revoke(tx, tenant_id, key.key_id, by=by, now_ms=now_ms)
        line = AuditLine(now_ms, by, f"api key {key.name} revoked", key.venue_id or tenant_id, key.key_id)
        acts.audit(tx, tenant_id, line)
    return key


def whose(tx: Transaction, tenant_id: bytes, authorization: str) -> ApiKey | None:
    """Return the key that an `Authorization: Bearer …` shows, as it stands in this transaction; None: it counts not."""
    scheme, _, text = authorization.partition(" ")
    found = _TEXT.fullmatch(text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        return None
    key = api_keys.key(tx, tenant_id, found[1])
    same = hmac.compare_digest(_hash(found[2]), key.secret_hash if key is not None else _NOBODY)
    return key if key is not None and same and key.revoked_ms is None else None


def _hash(secret: str) -> bytes:
    return sha256(bytes.fromhex(secret)).digest()
