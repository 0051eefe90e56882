"""What must be true after the world has healed, computed from the outside: machines, boxes, counter, books, journal."""

from collections import Counter, defaultdict

from back_office.ledger.verify import prove_books
from back_office.store import books, chains, grants
from cloud_sync.protocol.envelope import STREAM_LEDGER
from edge_agent.ledger.authorizations import STATES
from edge_agent.ledger.entries import check_chain
from payment_core.authorization import OPEN, State
from payment_core.identifiers import uuid_text
from payment_core.journal import (
    Captured,
    CoinBooked,
    Declined,
    Entry,
    Expired,
    Held,
    InDoubt,
    Part,
    Tampered,
    Voided,
    decode_entry,
)
from venuehub.simulator.bridge import Bridge
from venuehub.simulator.hub import Hub
from venuehub.simulator.office import CREDITS, PRICE, UNIT, Office


def findings(hub: Hub, bridge: Bridge, office: Office) -> list[str]:
    """Return what is wrong, one sentence each, empty where every promise was kept."""
    entries = [decode_entry(record) for (record,) in hub.store.rows("SELECT record FROM entries ORDER BY seq")]
    return [
        *_unfinished(hub, bridge),
        *_journal_and_books(hub, office),
        *_machines(entries, bridge),
        *_coins(hub, entries, bridge),
        *_money(hub, entries, office),
        *_leases(hub, office),
    ]


def _unfinished(hub: Hub, bridge: Bridge) -> list[str]:
    wrong = [f"the hub is frozen: {hub.frozen}"] if hub.frozen else []
    if not (hub.alive and bridge.alive):
        return [*wrong, "hub or bridge does not come back"]
    if hub.till.outstanding:
        wrong.append(f"{hub.till.outstanding} answers are still owed")
    if bridge.desk.values.pending():
        wrong.append(f"{len(bridge.desk.values.pending())} value events are not booked")
    if hub.uploader.state.waiting:
        wrong.append(f"{len(hub.uploader.state.waiting)} batches have no receipt")
    return wrong


def _journal_and_books(hub: Hub, office: Office) -> list[str]:
    report = check_chain(hub.store)
    wrong = [] if report.ok else [f"the hub's chain breaks at entry {report.first_bad}: {report.reason}"]
    with office.store.reading() as tx:
        proof = prove_books(tx, office.keys.tenant_id)
        wrong += proof.faults
        chain = chains.chain(tx, office.keys.tenant_id, office.identity.hub_id, stream=STREAM_LEDGER, epoch=1)
        rows = list(chains.entries_of(tx, office.keys.tenant_id, chain)) if chain else []
    theirs = [(row.seq, row.record, row.hash) for row in rows]
    ours = hub.store.rows("SELECT seq, record, hash FROM entries ORDER BY seq")
    if theirs != ours:
        first = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False), 1) if a != b), len(theirs) + 1)
        wrong.append(f"the office has {len(theirs)} entries, the hub {len(ours)}; entry {first} is the first to differ")
    return wrong


def _machines(entries: list[Entry], bridge: Bridge) -> list[str]:
    """Compare each machine's own count with what became of the authorization that it was counted for."""
    held: dict[str, int] = {}
    ends: dict[str, Entry] = {}
    for entry in entries:
        name = uuid_text(entry.header.authorization_id) if entry.header.authorization_id else ""
        if isinstance(entry, Held):
            held[name] = _sum(entry.parts)
        elif isinstance(entry, Captured | Voided | Expired | InDoubt):
            ends[name] = entry
    wrong = []
    for name, amount in held.items():
        counted, wanted = bridge.pulsed.get(name, 0), amount // PRICE * CREDITS
        match ends.get(name):
            case Captured(parts=parts) if _sum(parts) != amount * counted // wanted:
                wrong.append(f"{name}: {_sum(parts)} captured, {amount} held, {counted} of {wanted} credits counted")
            case Voided() | Expired() if counted:
                wrong.append(f"{name}: given back, but the machine counted {counted} credits")
            case InDoubt() if counted > wanted:
                wrong.append(f"{name}: {wanted} credits in doubt, but the machine counted {counted}")
            case None:
                wrong.append(f"{name}: held, and nothing became of it")
            case _:
                pass
    wrong += [f"{name}: a machine counted credits nobody paid for" for name in bridge.pulsed if name not in held]
    return wrong


def _coins(hub: Hub, entries: list[Entry], bridge: Bridge) -> list[str]:
    booked: Counter[str] = Counter()
    value = 0
    for entry in entries:
        if isinstance(entry, CoinBooked):
            booked[entry.device] += 1
            value += entry.amount
        elif isinstance(entry, Tampered):
            booked[entry.device] += entry.count
    wrong = [
        f"{acceptor}: {len(coins)} coins fell, {booked[acceptor]} were booked or named as lost"
        for acceptor, coins in bridge.fallen.items()
        if booked[acceptor] != len(coins)
    ]
    spent = _still_spent(entries)[None]
    credit = hub.store.rows("SELECT coalesce(sum(amount), 0) FROM coin_credit")[0][0]
    if value != spent + credit:
        wrong.append(f"coins worth {value} were booked, {spent} is spent or in doubt, {credit} is credit")
    return wrong


def _money(hub: Hub, entries: list[Entry], office: Office) -> list[str]:
    """Each member's money: paid in = at the office + at the hub + spent or in doubt."""
    with office.store.reading() as tx:
        purses = books.guest_balances(tx, office.keys.tenant_id, office.accounts).purses
    spent = _still_spent(entries)
    wrong = []
    for number, account_id in enumerate(office.accounts):
        paid = office.paid_in.get(account_id, 0)
        there = -purses.get((account_id, UNIT), 0)
        here = hub.till.balance(account_id).get(UNIT, 0)
        if paid != there + here + spent[account_id]:
            wrong.append(f"member {number}: paid {paid}, office {there}, hub {here}, spent {spent[account_id]}")
    return wrong


def _leases(hub: Hub, office: Office) -> list[str]:
    wrong = []
    with office.store.reading() as tx:
        granted = {
            (place.account_id, place.unit, place.epoch): row.granted
            for place, row in grants.leases(tx, office.keys.tenant_id).items()
        }
    sql = "SELECT account_id, unit, epoch, granted, granted - committed + released + refunded FROM leases"
    kept = {(row[0], row[1], row[2]): (row[3], row[4]) for row in hub.store.rows(sql)}
    for place, total in granted.items():
        mine, allowance = kept.get(place, (0, 0))
        if mine != total:
            wrong.append(f"lease of {place[0].hex()}: the office granted {total}, the hub knows {mine}")
        if allowance < 0:
            wrong.append(f"lease of {place[0].hex()}: overspent by {-allowance}")
    wrong += [f"lease of {place[0].hex()}: nobody granted it" for place in kept if place not in granted]
    open_states = [STATES[code] for (code,) in hub.store.rows("SELECT state FROM authorizations")]
    stuck = sum(state in OPEN and state is not State.IN_DOUBT for state in open_states)
    return [*wrong, f"{stuck} authorizations are still open"] if stuck else wrong


def _still_spent(entries: list[Entry]) -> defaultdict[bytes | None, int]:
    """Return what each account (None: coins) has spent or has in doubt, from the journal alone."""
    spent: defaultdict[bytes | None, int] = defaultdict(int)
    for entry in entries:
        match entry:
            case Held(account_id=account_id, parts=parts):
                spent[account_id] += _sum(parts)
            case Captured(account_id=account_id, released=parts) | Voided(account_id=account_id, parts=parts):
                spent[account_id] -= _sum(parts)
            case Expired(account_id=account_id, parts=parts):
                spent[account_id] -= _sum(parts)
            case Declined() | _:
                pass
    return spent


def _sum(parts: tuple[Part, ...]) -> int:
    return sum(part.amount for part in parts)
