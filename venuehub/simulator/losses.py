"""What a run has cost the venue, term by term, beside the bound, from outside.

What was brought in and not reported is counted before the run heals; the rest is read from the journals afterwards.
"""

import msgspec

from payment_core.exposure import Exposure, exposure, hub_terms
from payment_core.identifiers import uuid_text
from payment_core.journal import BroughtIn, Captured, CardSold, Cause, CoinBooked, Entry, Source, Voided, decode_entry
from venuehub.simulator.check_limits import floor_windows
from venuehub.simulator.evidence import Journal, total
from venuehub.simulator.plan import CREDITS, PRICE, UNIT, VenuePlan
from venuehub.simulator.venue import Venue


class Losses(msgspec.Struct, frozen=True):
    """Minor units of the venue's currency.

    floor: sold without a lease and not reported, at most at one time. rollback: goods that no journal charges any more.
    topup: guests' money brought in and not reported, or forgotten. doubt: given back by policy for plays that the
    machine gave. past_a_hub: by how much hubs have passed X_h and T_h of their own, for each time.
    """

    floor: int = 0
    rollback: int = 0
    topup: int = 0
    doubt: int = 0
    past_a_hub: int = 0


def bound_of(plan: VenuePlan) -> Exposure:
    """Return the bound of a plan, computed as `venuehub exposure` does."""
    hubs = [hub_terms(f"hub-{number:02}", plan.risk()) for number in range(plan.hubs)]
    return exposure(UNIT, hubs, rollbacks=plan.rollbacks, days=plan.days)


def losses_of(venue: Venue, journals: list[Journal], *, unreported: list[int]) -> Losses:
    """Add up what every hub has cost. `unreported`: what was brought in and not reported when the lines were mended."""
    forgotten = [_forgotten(venue, journal) for journal in journals]
    brought = [max(pair) for pair in zip(unreported, venue.lost_cash, strict=True)]
    terms = hub_terms("", venue.stage.plan.risk())
    return Losses(
        floor=sum(max(most for most, _one in floor_windows(journal)) for journal in journals),
        rollback=sum(forgotten),
        topup=sum(brought),
        doubt=sum(_given_away(venue, journal) for journal in journals),
        past_a_hub=sum(
            max(goods - max(times, 1) * terms.lease, 0) + max(cash - max(times, 1) * terms.brought_in, 0)
            for goods, cash, times in zip(forgotten, brought, venue.put_back, strict=True)
        ),
    )


def unreported(venue: Venue) -> list[int]:
    """Return what guests brought in at each hub that no receipt covers, now.

    Coins that a hub could not hear of in time may lie above T_h (docs/guarantees.md): how many, `check_slots` looks at.
    """
    sums = []
    cap = venue.stage.plan.risk().top_up_cap
    for hub in venue.hubs:
        hub.bridge.note_late()
        acked = hub.disk.connection.execute("SELECT value FROM meta WHERE key = 'acked_seq'").fetchone()[0]
        rows = hub.disk.connection.execute("SELECT record FROM entries WHERE seq > ?", (acked,))
        entries = [decode_entry(record) for (record,) in rows]
        coins = (entry for entry in entries if isinstance(entry, CoinBooked))
        late = sum(coin.amount for coin in coins if (coin.device, coin.counter) in hub.bridge.late)
        brought = sum(_came_in(entry) for entry in entries)
        sums.append(max(brought - late, min(brought, cap)))
    return sums


def _came_in(entry: Entry) -> int:
    """Return what an entry says came in, as T_h counts it: coins of a lane came in when they fell."""
    match entry:
        case CoinBooked():
            return entry.amount
        case BroughtIn(source=Source.DRAWER | Source.CASH_BOX):
            return total(entry.parts)
        case CardSold():
            return entry.deposit
        case _:
            return 0


def _forgotten(venue: Venue, journal: Journal) -> int:
    """Return the value of plays that machines gave and a disk forgot, less the cash for them that lies in a drawer.

    What the hub charged all the same is no loss.
    """
    number = journal.hub.number
    pulsed = venue.bridges[number].pulsed
    goods = sum(
        min(price, pulsed.get(uuid_text(play), 0) * PRICE // CREDITS)
        for play, price in venue.lost[number].items()
        if play not in journal.stories or journal.stories[play].given_back_by_device
    )
    return max(goods - venue.lost_cash[number], 0)


def _given_away(venue: Venue, journal: Journal) -> int:
    """Return the value of what machines gave and policy put back; of what it captured, the part beyond that."""
    pulsed = venue.bridges[journal.hub.number].pulsed
    lost = 0
    for play, story in journal.stories.items():
        if isinstance(story.end, Voided | Captured) and story.end.cause is Cause.POLICY:
            given = min(total(story.parts), pulsed.get(uuid_text(play), 0) * PRICE // CREDITS)
            lost += max(given - story.captured, 0)
    return lost


def passed(losses: Losses, bound: Exposure) -> list[str]:
    """Return which terms have passed the bound."""
    over = [row for row in _terms(losses, bound) if row[1] > row[2]]
    one = [f"no loss beyond the bound: one hub's own by {losses.past_a_hub}"] if losses.past_a_hub else []
    return [f"no loss beyond the bound: {name} cost {cost} of {most}" for name, cost, most in over] + one


def beyond(losses: Losses, bound: Exposure) -> int:
    """Return by how much the terms have passed the bound, together."""
    return losses.past_a_hub + sum(max(cost - most, 0) for _name, cost, most in _terms(losses, bound))


def _terms(losses: Losses, bound: Exposure) -> tuple[tuple[str, int, int], ...]:
    return (
        ("floors", losses.floor, bound.floor_bound),
        ("put-back disks", losses.rollback, bound.rollback_bound),
        ("value brought in", losses.topup, bound.topup_bound),
        ("doubts", losses.doubt, bound.doubt_bound),
    )
