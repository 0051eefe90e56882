"""What must be true after the world has healed, computed from the outside: machines, boxes, counter, books, journals.

Every finding is one sentence that begins with the name of the promise it breaks.
"""

from collections.abc import Callable, Iterator
from typing import Final

from venuehub.simulator.check_books import books_prove, decisions_replay, journals_equal_books, leases_agree
from venuehub.simulator.check_limits import blocks_hold, floors_keep_caps
from venuehub.simulator.check_machines import coins_are_booked, machines_agree, machines_are_heard_once, nothing_is_open
from venuehub.simulator.check_money import acts_are_done_once, money_is_conserved, vouchers_are_taken
from venuehub.simulator.check_shed import only_what_is_too_much_is_shed
from venuehub.simulator.check_tables import tables_are_followed
from venuehub.simulator.evidence import Journal, journals
from venuehub.simulator.venue import Venue

CHECKS: Final[dict[str, Callable[[Venue, list[Journal]], Iterator[str]]]] = {
    "all work is finished": nothing_is_open,
    "journals equal the books": journals_equal_books,
    "the books prove": books_prove,
    "each play is charged once": machines_agree,
    "each coin is booked once": coins_are_booked,
    "each word of a machine is written down once": machines_are_heard_once,
    "money is conserved": money_is_conserved,
    "leases agree": leases_agree,
    "decisions replay": decisions_replay,
    "each voucher is taken once": vouchers_are_taken,
    "each act of staff is done once": acts_are_done_once,
    "journals follow the tables": tables_are_followed,
    "a blocked card pays nothing": blocks_hold,
    "only what is too much is shed": only_what_is_too_much_is_shed,
    "floors keep their caps": floors_keep_caps,
}
"""The invariants, by name."""


def findings(venue: Venue, evidence: list[Journal]) -> list[str]:
    """Return what is wrong, empty where every promise was kept."""
    wrong = [f"{name}: {text}" for name, check in CHECKS.items() for text in check(venue, evidence)]
    return wrong + _seen(venue)


def ended_well(venue: Venue) -> list[str]:
    """Return what is wrong behind a run's last act, in which a thief may have written a hub's journal."""
    return [f"the books prove: {text}" for text in books_prove(venue, journals(venue))] + _seen(venue)


def _seen(venue: Venue) -> list[str]:
    """Return what was seen in the moment it happened, until now."""
    wrong = [f"no floor while the office answers: {text}" for text in venue.floor_sales.found]
    wrong += [f"no more lies at a hub than may: {text}" for text in venue.stakes.found]
    wrong += [f"no slot takes what is not booked: {text}" for text in venue.waits.found]
    return wrong + [f"nobody is refused while his money is in the venue: {text}" for text in venue.refusals.found]
