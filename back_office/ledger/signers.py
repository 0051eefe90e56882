"""Who may sign balances of an older system in: keys are pinned first, by name, and two different people sign.

The ledger itself knows no keys: whoever calls brings the check of a signature.
"""

from collections.abc import Callable
from typing import Final

from back_office.ledger.desk import Desk
from back_office.store import acts, signers
from back_office.store.acts import AuditLine
from back_office.store.signers import SignerRow
from payment_core.journal import Signed

SignatureCheck = Callable[[bytes, bytes, bytes], bool]
"""Given a public key, a signature and what was signed, say whether it holds."""
SIGNERS: Final = 2


def pin_signer(desk: Desk, *, name: str, public: bytes, venue_id: bytes | None, by: str) -> str:
    """Let a person's key count from now on; return why not, or nothing.

    A key belongs to one person for ever, and a person has one key at a time: else two signatures could be one hand's.
    """
    for known in signers.signers(desk.tx, desk.tenant_id):
        if known.public == public:
            ended = " and was removed" if known.until_ms is not None else ""
            return f"this key was pinned before: it is {known.name}'s{ended}"
        if known.name == name and known.until_ms is None:
            return f"{name} has a key that counts: remove it first"
    signer = SignerRow(public=public, name=name, venue_id=venue_id, since_ms=desk.now_ms, added_by=by)
    signers.add(desk.tx, desk.tenant_id, signer)
    line = AuditLine(desk.now_ms, by, "signer pinned", venue_id or desk.tenant_id, f"{name}: {public.hex()}")
    acts.audit(desk.tx, desk.tenant_id, line)
    return ""


def remove_signer(desk: Desk, *, name: str, by: str) -> str:
    """Let a person's key count no more, for balances that come now or later; return why not, or nothing."""
    for known in signers.signers(desk.tx, desk.tenant_id):
        if known.name == name and known.until_ms is None:
            signers.end(desk.tx, desk.tenant_id, known.public, by=by, now_ms=desk.now_ms)
            line = AuditLine(desk.now_ms, by, "signer removed", known.venue_id or desk.tenant_id, name)
            acts.audit(desk.tx, desk.tenant_id, line)
            return ""
    return f"{name} has no key that counts"


def not_signed(desk: Desk, content: bytes, signed: tuple[Signed, ...], check: SignatureCheck) -> str:
    """Return why `content` is not signed by two different people whose pinned keys count now and here, or nothing."""
    pinned = {known.public: known for known in signers.signers(desk.tx, desk.tenant_id)}
    for who in signed:
        known = pinned.get(who.key)
        if known is None or known.name != who.name:
            return f"{who.name} signed with a key that nobody pinned for {who.name}"
        if known.until_ms is not None:
            return f"{who.name}'s key counts no more: {known.removed_by} removed it"
        if known.venue_id not in (None, desk.venue.venue_id):
            return f"{who.name}'s key does not count at this venue"
        if not check(who.key, who.signature, content):
            return f"{who.name}'s signature is not over this very content"
    if len({who.key for who in signed}) != len(signed) or len(signed) < SIGNERS:
        return "an opening balance is signed by two different people, over its very content"
    return ""
