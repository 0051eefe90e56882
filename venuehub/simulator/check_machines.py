"""The machines' own counts against the journals: plays, coins, and whatever still waits for an answer."""

from collections import Counter
from collections.abc import Iterator

from edge_agent.ledger.authorizations import STATES
from payment_core.authorization import OPEN, State
from payment_core.identifiers import uuid_text
from payment_core.journal import Captured, Cause, Expired, InDoubt, Voided
from venuehub.simulator.evidence import Journal, Story, total
from venuehub.simulator.venue import Venue


def nothing_is_open(venue: Venue, _journals: list[Journal]) -> Iterator[str]:
    """Every process is back, every batch has its receipt, every answer came or is a named doubt."""
    for hub, bridge in zip(venue.hubs, venue.bridges, strict=True):
        if hub.uplink.frozen:
            yield f"{hub.name} is frozen: {hub.uplink.frozen}"
        if not (hub.alive and bridge.alive):
            yield f"{hub.name} or its bridge does not come back"
            continue
        if hub.till.outstanding:
            yield f"{hub.till.outstanding} answers are still owed to {hub.name}"
        if bridge.desk.values.pending():
            yield f"{len(bridge.desk.values.pending())} value events of {bridge.name} are not booked"
        if hub.uplink.uploader.state.waiting:
            yield f"{len(hub.uplink.uploader.state.waiting)} batches of {hub.name} have no receipt"
        states = [STATES[code] for (code,) in hub.store.rows("SELECT state FROM authorizations")]
        stuck = sum(state in OPEN and state is not State.IN_DOUBT for state in states)
        if stuck:
            yield f"{stuck} authorizations of {hub.name} are still open"


def machines_agree(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Compare each machine's own count with what became of the authorization that it was counted for."""
    for journal, bridge in zip(journals, venue.bridges, strict=True):
        stories = {uuid_text(authorization_id): story for authorization_id, story in journal.stories.items()}
        lost = {uuid_text(play) for play in venue.lost[journal.hub.number]}
        for name, story in stories.items():
            wrong = _compare(story, bridge.pulsed.get(name, 0))
            if wrong and not (name in lost and story.given_back_by_device):
                yield f"{name}: {wrong}"
        for name in bridge.pulsed:
            if name not in stories and name not in lost:
                yield f"{name}: a machine counted credits nobody paid for"


def _compare(story: Story, counted: int) -> str:
    amount, wanted = total(story.parts), story.credits
    if isinstance(story.end, Captured | Voided) and story.end.cause in (Cause.STAFF, Cause.POLICY):
        # A person or the venue's policy decided; what that may cost is the bound's business.
        return "" if counted <= wanted else f"{wanted} credits were held, but the machine counted {counted}"
    match story.end:
        case Captured(parts=parts) if total(parts) != amount * counted // wanted:
            return f"{total(parts)} captured, {amount} held, {counted} of {wanted} credits counted"
        case Voided() | Expired() if counted:
            return f"given back, but the machine counted {counted} credits"
        case InDoubt() if counted > wanted:
            return f"{wanted} credits in doubt, but the machine counted {counted}"
        case None:
            return "held, and nothing became of it"
        case _:
            return ""


def machines_are_heard_once(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """What machines tell of prizes and their own cash is written down once each, and nothing that none told."""
    for journal, bridge in zip(journals, venue.bridges, strict=True):
        for event, times in journal.machine_words.items():
            if times > 1:
                yield f"{event} of {bridge.name} is written down {times} times"
        written = Counter(device for device, _epoch, _seq in journal.machine_words)
        for device, told in written.items():
            if told > bridge.machine_words[device]:
                yield f"{device} of {bridge.name} told {bridge.machine_words[device]} things, {told} are written down"


def coins_are_booked(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Every coin in a box is booked once or named as lost, and what it bought or left is there."""
    for journal, bridge in zip(journals, venue.bridges, strict=True):
        for acceptor, coins in bridge.fallen.items():
            if journal.coins[acceptor] != len(coins):
                yield (
                    f"{acceptor} of {bridge.name}: {len(coins)} coins fell, {journal.coins[acceptor]} were booked or "
                    "named as lost"
                )
        spent = sum(amount for (account_id, _unit), amount in journal.spent.items() if account_id is None)
        credit = journal.hub.store.rows("SELECT coalesce(sum(amount), 0) FROM coin_credit")[0][0]
        if journal.coin_value != spent + credit:
            yield (
                f"{journal.hub.name}: coins worth {journal.coin_value} were booked, {spent} is spent or in doubt, "
                f"{credit} is credit"
            )
