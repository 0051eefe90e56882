"""The demo's report: what was counted outside the hubs, beside what their journals and the office's books say."""

from typing import Any, Final

import msgspec

from venuehub.demo.adversary import LossFigures
from venuehub.demo.attendant import DoubtFigures
from venuehub.demo.audit import BooksFigures, OutsideFigures, read_books, read_devices
from venuehub.demo.booth_audit import device_lines, given_beyond_debited, given_by_output, read_booths
from venuehub.demo.hub_audit import HubFigures, read_hubs
from venuehub.demo.observer import percentiles
from venuehub.demo.stage import Stage

PAIRS: Final = (("notes", "booked"), ("prizes", "seen"))
"""What a booth's device counts by itself, and what the journal says of the same."""
_TOO_LATE: Final = ("tap.stale", "verify.stale", "verify.not_asked")
"""What a hub logs of a card or a match that comes when nobody waits for it any more."""


class OutageFigures(msgspec.Struct):
    """What happened while the uplink was cut; `lost`: journal entries that never reached the books."""

    seconds: float = 0.0
    taps: int = 0
    approved: int = 0
    lost: int = 0
    passed: int = 0
    """Times a guest's money went to the hall he stood in."""
    doubts: DoubtFigures = msgspec.field(default_factory=DoubtFigures)
    adversary: LossFigures = msgspec.field(default_factory=LossFigures)


async def make_report(stage: Stage, outage: OutageFigures) -> dict[str, object]:
    """Return a demo's one document, with `wrong` where it does not add up."""
    hub = read_hubs(stage.ledgers)
    outside = await read_devices(stage.plan, stage.folder)
    books = read_books(stage.arcade, stage.folder)
    outage.lost = hub.entries - books.booked
    observer = stage.observer
    report = _document(stage, hub, outside, books, outage)
    counters = await read_booths(stage.plan, stage.folder)
    given = given_by_output(stage.plan, outside, counters)
    report["devices"] = device_lines(stage.plan, given, counters, hub)
    report["dispensed_beyond_debited"] = given_beyond_debited(given, hub)
    answered = hub.approved + hub.declined.total() + observer.answers["repeated"]
    told = unanswered(observer.taps, answered, stale=None if stage.restarts else stale_taps(stage))
    if told:
        report["unanswered"] = told
    wrong = equations_that_fail(report)
    return report | {"wrong": wrong} if wrong else report


def _document(
    stage: Stage,
    hub: HubFigures,
    outside: OutsideFigures,
    books: BooksFigures,
    outage: OutageFigures,
) -> dict[str, object]:
    """Return what is told of the hubs, the machines and the books; the left sides come from outside the hub."""
    observer, machines = stage.observer, [hub.output(device) for device in outside.by_output]
    return {
        "taps": observer.taps,
        "approved": hub.approved,
        "declined": dict(sorted(hub.declined.items())),
        "repeated": observer.answers["repeated"],
        "captured": hub.captured,
        "voided": hub.voided,
        "expired": hub.expired,
        "refunded": hub.refunded,
        "in_doubt": hub.in_doubt,
        "credits_seen_by_machines": outside.credits_seen,
        "credits_of_captured": sum(output.by_guests for output in machines),
        "credits_of_coins": sum(output.debited - output.by_guests for output in machines),
        "credits_in_doubt": sum(output.in_doubt for output in machines),
        "coins_inserted": outside.coins_inserted,
        "coins_booked": coins_booked(stage, hub),
        "hubs": len(stage.hubs),
        "addresses": stage.addresses,
        "tap_to_command_ms": percentiles(observer.command_ms),
        "tap_to_credit_ms": percentiles(observer.credit_ms),
        "ledger": {
            "balanced": books.balanced,
            "entries": books.entries,
            "gaps": books.gaps,
            "duplicates": books.duplicates,
            "office_equals_hubs": books.office_equals_hubs and books.booked == hub.entries,
        },
        "outage": msgspec.to_builtins(outage),
    }


def coins_booked(stage: Stage, hub: HubFigures) -> int:
    """Return how many coins of the machines' acceptors are booked."""
    return sum(hub.coins[place.lane.acceptor] for place in stage.plan.places)


def unanswered(taps: int, answered: int, *, stale: int | None) -> int:
    """Return how many taps are worth nothing: made while a hub was dead (`stale` is None then), or too late.

    Never less than none: a tap with two answers does not add up, and has to show.
    """
    lost = max(taps - answered, 0)
    return lost if stale is None else min(lost, stale)


def stale_taps(stage: Stage) -> int:
    """Return how many taps the hub dropped as too old: on a machine that is too busy for its guests."""
    logs = [stage.folder.logs / f"{hub.name}.log" for hub in stage.hubs.values()]
    told = "".join(log.read_text(errors="replace") for log in logs)
    return sum(told.count(f'"event":"{event}"') for event in _TOO_LATE)


def equations_that_fail(report: dict[str, Any]) -> list[str]:
    """Return in words what a report says that must not be: the same sums anybody can do from it."""
    ledger = report["ledger"]
    answered = report.get("unanswered", 0) + report["approved"] + sum(report["declined"].values()) + report["repeated"]
    delivered = report["credits_of_captured"] + report["credits_of_coins"]
    adversary = report["outage"]["adversary"]
    seen, doubtful = report["credits_seen_by_machines"], report["credits_in_doubt"]
    holds = {
        "taps = approved + declined + repeated": report["taps"] == answered,
        "credits_seen_by_machines = captured + coins, but for doubts": delivered <= seen <= delivered + doubtful,
        "coins_booked = coins_inserted": report["coins_booked"] == report["coins_inserted"],
        "the ledger balances, without gap or duplicate": ledger["balanced"]
        and not ledger["gaps"]
        and not ledger["duplicates"],
        "office equals hubs, nothing lost": ledger["office_equals_hubs"] and not report["outage"]["lost"],
        "no device gave more than ledgers debited": not report["dispensed_beyond_debited"],
        "every note and prize is in the journal, every failed vend refunded": all(
            map(_agrees, report["devices"].values())
        ),
        "nobody was believed whom no device saw": all(map(_was_seen, report["devices"].values())),
        "nobody plays more on the floor than the bound": adversary["taken"] <= adversary["bound"],
    }
    return [name for name, good in holds.items() if not good]


def _agrees(line: dict[str, Any]) -> bool:
    """Say whether what a booth's device counted is what the journal says of it."""
    refunded = line.get("failed", 0) <= line.get("refunded", 0) + line["in_doubt"]
    return refunded and all(line.get(own) == line.get(told) for own, told in PAIRS)


def _was_seen(line: dict[str, Any]) -> bool:
    """Say whether a module matched everybody who was let in with it, and a scanner read every answered code."""
    return bool(line.get("step_ups", 0) <= line.get("matches", 0) and line.get("answered", 0) <= line.get("codes", 0))
