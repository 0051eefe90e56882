"""Who taps: the credential behind what a reader said, and whether it proved itself."""

from edge_agent.ledger import office_facts
from edge_agent.messages import Log
from edge_agent.step.draft import Draft
from edge_agent.tap.token_proof import KEY_BYTES, SunProof, prove_sun, sun_uid
from payment_core.credential import ListRow
from payment_core.errors import MalformedMessageError
from payment_core.events import CredentialPresented
from payment_core.facts import Proof
from payment_core.identifiers import credential_id


def known_id(draft: Draft, body: CredentialPresented) -> bytes:
    """Return the credential id of what was presented; MalformedMessageError where its uid is none."""
    uid = (sun_uid(body.ndef) if body.ndef else None) or body.uid
    try:
        raw_id = bytes.fromhex(uid)
    except ValueError as error:
        message = "CredentialPresented.uid is not hexadecimal"
        raise MalformedMessageError(message) from error
    return credential_id(pepper=draft.site.pepper, kind=body.media, raw_id=raw_id)


def prove(draft: Draft, row: ListRow | None, credential: bytes, body: CredentialPresented) -> Proof:
    """Return what a tap proved; a class A token's counter is used up by it, whatever is decided then."""
    if row is None or row.class_ != "A":
        return "identified"
    if len(row.token_key) != KEY_BYTES:
        draft.effect(Log("tap.proof_refused", {"reason": "no_key"}))
        return "refused"
    last = office_facts.token_counter(draft.store, credential)
    proof = prove_sun(url=body.ndef, token_key=row.token_key, last_counter=last)
    if not isinstance(proof, SunProof):
        draft.effect(Log("tap.proof_refused", {"reason": proof.reason}))
        return "refused"
    office_facts.take_token_counter(draft.store, credential, proof.counter)
    return "proven"
