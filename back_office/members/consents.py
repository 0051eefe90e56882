"""Fingers and faces as hubs tell of them: who agreed, what was learned, what was taken back, what is proven deleted.

Taking back blocks the credentials in the list. Every hub hears of that, now or when it is back, and the one whose
module holds the template has it deleted; its certificate comes with its journal, and until then the deletion is
pending. A consent that a hub tells of later, and that was given before its owner took everything back, is over too.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from back_office.ledger.findings import Finding
from back_office.ledger.list_changes import successor
from back_office.store import consents, people
from back_office.store.consents import Consent, Ended, Template
from back_office.store.engine import Transaction
from back_office.store.people import Credential, GuestAccount
from payment_core.credential import Status
from payment_core.identifiers import UUID_BYTES
from payment_core.journal import ConsentGiven, ConsentWithdrawn, Entry, TemplateDeleted, TemplateEnrolled, TimeQuality

MEDIA: Final = ("finger", "face")
"""What a consent is to, and the media of what is learned under it."""
SKEW_MS: Final = 60_000
"""How far clocks of hub and office may be apart: what is so close to a withdrawal is older than it."""


def keep_consents(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, entries: Iterable[Entry], *, now_ms: int
) -> list[Finding]:
    """Take consents, templates and certificates out of a hub's entries, in order.

    What was learned without a consent that stands is a finding (`no_consent`), and blocked: so its hub deletes it.
    """
    findings: list[Finding] = []
    for entry in entries:
        why = ""
        match entry:
            case ConsentGiven():
                why = _given(tx, tenant_id, hub_id, entry)
            case ConsentWithdrawn():
                known_ms = entry.header.wall_ms if entry.header.quality <= TimeQuality.HELD else now_ms
                withdraw(tx, tenant_id, entry.account_id, Ended(min(known_ms, now_ms), entry.staff, hub_id))
            case TemplateEnrolled():
                why = _enrolled(tx, tenant_id, hub_id, entry, now_ms)
            case TemplateDeleted():
                consents.deleted(tx, tenant_id, entry.credential_id, entry.life, at_ms=entry.header.wall_ms)
            case _:
                continue
        if why:
            findings.append(Finding("no_consent", f"entry {entry.header.seq}: {why}"))
    return findings


def withdraw(tx: Transaction, tenant_id: bytes, account_id: bytes, last: Ended) -> int:
    """End every consent of an account and block what modules learned under them; return how many stood.

    What was taken back at a hub ends all that it told of before, and what is older of other hubs.
    """
    before = consents.ended(tx, tenant_id, account_id)
    if before is None or before.at_ms < last.at_ms:
        consents.keep_ended(tx, tenant_id, account_id, last)
    over = {
        one.consent_id
        for one in consents.consents(tx, tenant_id, account_id)
        if one.withdrawn_ms is None and (last.hub_id in (b"", one.hub_id) or one.given_ms <= last.at_ms + SKEW_MS)
    }
    for consent_id in over:
        consents.end(tx, tenant_id, consent_id, last)
    for one in consents.templates(tx, tenant_id, account_id):
        if one.consent_id in over and not is_ended(tx, tenant_id, one):
            _block(tx, tenant_id, one)
    return len(over)


def _block(tx: Transaction, tenant_id: bytes, one: Template | Credential) -> None:
    version = people.list_version(tx, tenant_id) + 1
    people.set_status(tx, tenant_id, one.credential_id, status="blocked", version=version)


def pending(tx: Transaction, tenant_id: bytes) -> list[Template]:
    """Return what is to be deleted and not proven to be: templates that nobody may use any more."""
    waiting = [one for one in consents.templates(tx, tenant_id) if one.deleted_ms is None]
    return [one for one in waiting if is_ended(tx, tenant_id, one)]


def is_ended(tx: Transaction, tenant_id: bytes, one: Template) -> bool:
    """Say whether a template may be used no more: its credential is out of use, or another person's by now."""
    listed = people.credential(tx, tenant_id, one.credential_id)
    return listed is None or listed.status != "active" or listed.life != one.life


def _given(tx: Transaction, tenant_id: bytes, hub_id: bytes, entry: ConsentGiven) -> str:
    if entry.of not in MEDIA or len(entry.consent_id) != UUID_BYTES:
        return f"a consent to {entry.of!r}"
    if consents.consent(tx, tenant_id, entry.consent_id) is not None:
        return ""
    consents.add_consent(tx, tenant_id, Consent(
        consent_id=entry.consent_id, account_id=entry.account_id, hub_id=hub_id, of=entry.of,
        text_version=entry.text_version, given_ms=entry.header.wall_ms, staff=entry.staff, guardian=entry.guardian,
        relation=entry.relation,
    ))  # fmt: skip
    last, header = consents.ended(tx, tenant_id, entry.account_id), entry.header
    if last is None or last.hub_id == hub_id:  # a hub tells in order
        return ""
    if header.quality > TimeQuality.HELD or header.wall_ms <= last.at_ms + SKEW_MS:
        consents.end(tx, tenant_id, entry.consent_id, last)  # in doubt the guest is asked again: nothing of him is kept
    return ""


def _enrolled(tx: Transaction, tenant_id: bytes, hub_id: bytes, entry: TemplateEnrolled, now_ms: int) -> str:
    why = _not_agreed(tx, tenant_id, entry)
    known, before = people.credential(tx, tenant_id, entry.credential_id), consents.lives(
        tx, tenant_id, entry.credential_id
    )  # fmt: skip
    if len(entry.credential_id) != UUID_BYTES or entry.life < 1:
        return "it learned somebody under no id"
    if any((one.life, one.consent_id) == (entry.life, entry.consent_id) for one in before):
        return ""
    taken = known is not None and (known.status == "active" or not before or before[-1].deleted_ms is None)
    if taken or any(one.life >= entry.life for one in before):
        if known is not None and known.status == "active":  # the module knows somebody else there: nobody is let in
            _block(tx, tenant_id, known)
        return "it learned somebody in a page that is another person's"
    consents.add_template(tx, tenant_id, Template(
        credential_id=entry.credential_id, life=entry.life, consent_id=entry.consent_id, account_id=entry.account_id,
        hub_id=hub_id, media=entry.media, device=entry.device, page=entry.page, enrolled_ms=entry.header.wall_ms,
    ))  # fmt: skip
    _list(tx, tenant_id, entry, status="blocked" if why else "active", known=known, now_ms=now_ms)
    return why


def _not_agreed(tx: Transaction, tenant_id: bytes, entry: TemplateEnrolled) -> str:
    given = consents.consent(tx, tenant_id, entry.consent_id)
    if given is None or given.account_id != entry.account_id or given.of != entry.media:
        return "it learned somebody who did not agree"
    return "" if given.withdrawn_ms is None else "it learned somebody who had taken his consent back"


def _list(
    tx: Transaction, tenant_id: bytes, entry: TemplateEnrolled, *, status: Status, known: Credential | None, now_ms: int
) -> None:
    """List the credential with what the card beside it may; one that the office has not heard of is listed first."""
    card = people.credential(tx, tenant_id, entry.card_id)
    if card is None or card.account_id != entry.account_id:
        if people.account(tx, tenant_id, entry.account_id) is None:
            people.add_account(tx, tenant_id, GuestAccount(account_id=entry.account_id, created_ms=now_ms))
        card = Credential(
            credential_id=entry.card_id, account_id=entry.account_id, media="ntag21x", class_="C",
            version=people.list_version(tx, tenant_id) + 1,
        )  # fmt: skip
        if people.credential(tx, tenant_id, entry.card_id) is None:
            people.add_credential(tx, tenant_id, card)
    fresh = successor(
        card, entry.credential_id, entry.media, "B", life=entry.life, version=people.list_version(tx, tenant_id) + 1
    )
    fresh = msgspec.structs.replace(fresh, status=status)
    write = people.add_credential if known is None else people.change_credential
    write(tx, tenant_id, fresh)
