"""Who taps: the credential behind what a reader said, and whether it proved itself."""

from edge_agent.ledger import office_facts
from edge_agent.messages import Log
from edge_agent.step.draft import Draft
from edge_agent.step.time_floor import newest_seen_ms
from edge_agent.tap.token_proof import KEY_BYTES, SunProof, prove_sun, sun_uid
from payment_core.credential import ListRow
from payment_core.errors import MalformedMessageError
from payment_core.events import CredentialPresented
from payment_core.facts import Proof
from payment_core.identifiers import credential_id
from payment_core.member_code import MEDIA, judge_code, read_code


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
    if not row.token_key and row.status != "active":
        return "identified"  # its key was taken away with it: the list says what it is, and it plays nowhere
    if len(row.token_key) != KEY_BYTES:
        draft.effect(Log("tap.proof_refused", {"reason": "no_key"}))
        return "refused"
    last = office_facts.token_counter(draft.store, credential)
    counter = _code_counter(draft, row, body, last) if body.media == MEDIA else _sun_counter(row, body, last)
    if isinstance(counter, str):
        draft.effect(Log("tap.proof_refused", {"reason": counter}))
        return "refused"
    office_facts.take_token_counter(draft.store, credential, counter)
    return "proven"


def _sun_counter(row: ListRow, body: CredentialPresented, last: int) -> int | str:
    """Return what a card of class A counted, or why it proves nothing."""
    proof = prove_sun(url=body.ndef, token_key=row.token_key, last_counter=last)
    return proof.counter if isinstance(proof, SunProof) else proof.reason


def _code_counter(draft: Draft, row: ListRow, body: CredentialPresented, last: int) -> int | str:
    """Return the count of a member code, or why it proves nothing."""
    code = read_code(body.ndef)
    if code is None or code.handle.hex().upper() != body.uid:
        return "malformed"
    floor_ms = newest_seen_ms(draft.store)
    refused = judge_code(code, seed=row.token_key, last_count=last, known_ms=draft.known_ms, floor_ms=floor_ms)
    return code.count if refused is None else refused
