"""Cards shown at a desk: a staff card that proves itself is as good as a PIN, a guest's is named on the page."""

from edge_agent.messages import FromDevice
from edge_agent.play import doubts
from edge_agent.staff_messages import TellCard
from edge_agent.step.draft import Draft
from edge_agent.tap import blocks
from edge_agent.tap.tap_proof import known_id, prove
from edge_agent.tap.taps import take_once
from payment_core.desk import CardShown
from payment_core.events import CredentialPresented


def presented(draft: Draft, fact: FromDevice, body: CredentialPresented) -> bool:
    """Take a card at a desk's reader and tell the terminal whose it is; False: it is no desk's reader."""
    desk = draft.site.desk_of_reader.get(fact.device)
    if desk is None:
        return False
    now = draft.now
    if not take_once(draft, fact):
        return True
    credential_id = known_id(draft, body)
    row = blocks.known_row(draft, credential_id)
    proof = prove(draft, row, credential_id, body)
    if row is None:
        shown = CardShown(credential_id.hex(), "unknown", at_ms=now.wall_ms)
    else:
        good = row.status == "active" and proof != "refused" and row.class_ != "C"
        staff = next((one.id for one in draft.site.staff.people if credential_id.hex() in one.credentials), "")
        unit = draft.site.currency
        shown = CardShown(
            credential_id.hex(), row.status, row.masked_name, unit,
            doubts.balance(draft, row.account_id).get(unit, 0), staff if good else "", now.wall_ms,
        )  # fmt: skip
    draft.effect(TellCard(desk.terminal, shown))
    return True
