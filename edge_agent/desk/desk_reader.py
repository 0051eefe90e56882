"""Cards shown at a desk: a staff card that proves itself is as good as a PIN, a guest's is named on the page."""

from edge_agent.ledger import office_facts
from edge_agent.messages import FromDevice
from edge_agent.play import doubts
from edge_agent.staff_messages import TellCard
from edge_agent.step.draft import Draft
from edge_agent.tap import blocks
from edge_agent.tap.tap_facts import Tap
from edge_agent.tap.tap_proof import known_id, prove
from edge_agent.tap.taps import is_good, take_once
from payment_core.desk import CardShown
from payment_core.events import CredentialPresented


def serves(draft: Draft, device: str) -> bool:
    """Say whether a reader is a desk's: cards shown there sell nothing."""
    return device in draft.site.desk_of_reader


def read_card(draft: Draft, fact: FromDevice, body: CredentialPresented) -> Tap | None:
    """Return the card at a desk's reader; None: it comes too late, or again. One of the staff may be asked for more."""
    if not take_once(draft, fact):
        return None
    credential_id = known_id(draft, body)
    row = blocks.known_row(draft, credential_id)
    proof = prove(draft, row, credential_id, body)
    counter = office_facts.token_counter(draft.store, credential_id) if proof == "proven" else None
    event = fact.event
    return Tap(fact.device, event.epoch, event.seq, None, credential_id, row, proof, draft.now.boottime_ms, counter)


def tell(draft: Draft, card: Tap) -> None:
    """Tell the desk's terminal whose card was shown, and whether it stands for somebody of the staff."""
    desk, row, text = draft.site.desk_of_reader.get(card.reader), card.row, card.credential_id.hex()
    if desk is None:  # it was taken away while the card was asked
        return
    if row is None:
        shown = CardShown(text, "unknown", at_ms=draft.now.wall_ms)
    else:
        staff = next((one.id for one in draft.site.staff.people if text in one.credentials), "")
        unit = draft.site.currency
        shown = CardShown(
            text, row.status, row.masked_name, unit, doubts.balance(draft, row.account_id).get(unit, 0),
            staff if is_good(card) else "", draft.now.wall_ms,
        )  # fmt: skip
    draft.effect(TellCard(desk.terminal, shown))
