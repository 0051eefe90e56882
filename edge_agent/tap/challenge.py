"""Cards that are asked to prove themselves now: a fresh nonce each, two halves through the reader, then the decision.

Asked is a card that is to pay more than `challenge_over`, one of the staff at a desk, and a second factor.

A recorded SUN message that no hub has seen passes once; an answer to a challenge passes never again. The tap waits here
for `CHALLENGE_MS` at most, and whatever is no good answer by then is a refused proof.
"""

from typing import Final

import msgspec

from edge_agent.ledger import authorizations
from edge_agent.messages import Answered, FromDevice, Log, Send
from edge_agent.step.draft import Draft
from edge_agent.tap import taps, token_proof
from edge_agent.tap.tap_facts import Tap, quote_of
from payment_core.commands import Transceive, make_command
from payment_core.events import CredentialPresented
from payment_core.identifiers import uuid_text

CHALLENGE_MS: Final = 300
"""Both halves together; a card keeps the session of the first for as long (the bridge's `HOLD_S`)."""
CHALLENGES_LIMIT: Final = 64
"""Cards that are asked at one time; the next one is refused, for its message alone is not enough."""
CHALLENGED: Final = "ntag424"


class _Open(msgspec.Struct):
    """A card that owes an answer. `uid`: what its message was signed for; `halves`: how many were said."""

    tap: Tap
    uid: str
    key: bytes
    nonce: bytes
    until_ms: int
    halves: int = 1


class Challenges:
    """All challenges under way, by the id of the command that waits. Volatile: after a restart a guest taps again."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def has_event(self, fact: FromDevice) -> bool:
        """Say whether this very event is being asked about already."""
        key = (fact.device, fact.event.epoch, fact.event.seq)
        return any((one.tap.reader, one.tap.event_epoch, one.tap.event_seq) == key for one in self._open.values())

    def take_bounce(self, draft: Draft, tap: Tap) -> bool:
        """Answer a card that bounced at the reader where it is being asked: with nothing of its own."""
        asked = ((one.tap.reader, one.tap.credential_id) for one in self._open.values())
        if (tap.reader, tap.credential_id) not in asked:
            return False
        authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, taps.NO_ANSWER)
        return True

    def begin(self, draft: Draft, tap: Tap, body: CredentialPresented) -> Tap | None:
        """Ask a card that stands for staff or a second factor, or where the risk document wants it.

        Return the tap where it can be decided as it is.
        """
        if tap.proof != "proven" or tap.row is None or body.media != CHALLENGED or not _is_wanted(draft, tap):
            return tap
        if len(self._open) >= CHALLENGES_LIMIT:
            return _refused(draft, tap, "busy")
        until_ms = draft.now.boottime_ms + CHALLENGE_MS
        uid = token_proof.sun_uid(body.ndef) or body.uid
        nonce = draft.nonce(token_proof.NONCE_BYTES)
        self._say(draft, _Open(tap, uid, tap.row.token_key, nonce, until_ms), token_proof.CHALLENGE)
        return None

    def has_answered(self, fact: Answered) -> bool:
        """Say whether a result is that of a card asked here."""
        one = self._open.get(fact.result.id)
        return one is not None and one.tap.reader == fact.device

    def hear(self, draft: Draft, fact: Answered) -> Tap | None:
        """Take such a result: go on with the second half, or return the tap to be decided."""
        one, result = self._open.pop(fact.result.id), fact.result
        if draft.now.boottime_ms >= one.until_ms:
            return _refused(draft, one.tap, "timeout")
        if result.outcome != "done":
            return _refused(draft, one.tap, result.reason or result.outcome)
        if one.halves == 1:
            reply = token_proof.challenge_reply(result.answers, token_key=one.key, nonce=one.nonce)
            if reply is None:
                return _refused(draft, one.tap, "no_challenge")
            one.halves += 1
            self._say(draft, one, (reply,))
            return None
        if not token_proof.is_challenge_met(result.answers, token_key=one.key, nonce=one.nonce):
            return _refused(draft, one.tap, "wrong_answer")
        return _fresh(draft, one.tap)

    def pass_time(self, draft: Draft) -> list[Tap]:
        """Return the taps whose card has not answered in time."""
        late = [name for name, one in self._open.items() if one.until_ms <= draft.now.boottime_ms]
        return [_refused(draft, self._open.pop(name).tap, "timeout") for name in late]

    def _say(self, draft: Draft, one: _Open, commands: tuple[str, ...]) -> None:
        name = uuid_text(draft.new_id())
        self._open[name] = one
        birth = draft.site.births.get(one.tap.reader)
        ttl_ms = one.until_ms - draft.now.boottime_ms
        body, boot_id = Transceive(one.uid, commands), birth.boot_id if birth else ""
        command = make_command(body, command_id=name, seq=0, boot_id=boot_id, ttl_ms=ttl_ms)
        draft.effect(Send(one.tap.reader, command))


def _is_wanted(draft: Draft, tap: Tap) -> bool:
    """Say whether a message alone is too little for what a tap opens, at a reader that can say the challenge."""
    site = draft.site
    limit, birth = site.risk.challenge_over, site.births.get(tap.reader)
    if birth is None or Transceive.__name__ not in birth.capabilities:
        return False
    if _vouches(draft, tap):
        return True
    if limit is None:
        return False
    quote = quote_of(draft, tap)
    return quote is not None and any(money.minor > limit for money in quote.price.price)


def _vouches(draft: Draft, tap: Tap) -> bool:
    """Say whether a card opens more than its own money: a member of staff's at a desk, or a second factor."""
    if tap.reader in draft.site.desk_of_reader:
        return tap.credential_id in draft.site.staff_cards
    return bool(taps.lanes_of_factor(draft, tap))


def _fresh(draft: Draft, tap: Tap) -> Tap:
    """Return a tap as it is decided now: with today's row, and all its time to look for money."""
    deadline_ms = draft.now.boottime_ms + draft.site.risk.ask_ms
    tap = msgspec.structs.replace(tap, deadline_ms=deadline_ms)
    return taps.with_fresh_row(draft, tap, office_answered=False)


def _refused(draft: Draft, tap: Tap, reason: str) -> Tap:
    """Return a tap whose card did not prove itself; its counter is nobody's evidence: the message may be recorded."""
    draft.effect(Log("tap.proof_refused", {"reason": reason}))
    return _fresh(draft, msgspec.structs.replace(tap, proof="refused", token_counter=None))
