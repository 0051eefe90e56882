"""What must be true of any ledger at any moment, worked out from the journal alone and compared with the tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from edge_agent.ledger.authorizations import STATES
from edge_agent.ledger.entries import check_chain, read_records
from edge_agent.ledger.store import Reads
from payment_core.accounts import Account, Kind
from payment_core.authorization import State, Step, advance
from payment_core.journal import (
    BroughtIn,
    Captured,
    Cause,
    Commanded,
    Declined,
    Entry,
    Expired,
    Held,
    Increased,
    InDoubt,
    LateEvidence,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    PaidOutHere,
    Part,
    Refunded,
    SlipTaken,
    Voided,
    VoucherTaken,
    decode_entry,
)
from payment_core.posting import imbalance, postings

_CONFIRMED = (Cause.STAFF, Cause.POLICY, Cause.READ_BACK)


def entries(store: Reads) -> list[Entry]:
    """Return the whole journal."""
    return [decode_entry(record) for _seq, record, _hash in read_records(store, after_seq=0, limit=1_000_000)]


def kinds(store: Reads) -> list[str]:
    """Return the journal as names of entry types."""
    return [type(entry).__name__ for entry in entries(store)]


def balances(journal: list[Entry]) -> dict[Account, int]:
    """Return every account's balance, debit positive (units of one account are added up: tests use one per account)."""
    sums: Counter[Account] = Counter()
    for entry in journal:
        for row in postings(entry):
            sums[row.account] += row.amount
    return {account: amount for account, amount in sums.items() if amount}


def balance_of(store: Reads, kind: Kind, key: str = "") -> int:
    """Return what stands on one account, in the direction it normally stands: credit accounts come out positive."""
    return -balances(entries(store)).get(Account(kind, key), 0)


def states(store: Reads) -> dict[bytes, State]:
    """Return the state of every authorization."""
    return {row[0]: STATES[row[1]] for row in store.rows("SELECT id, state FROM authorizations ORDER BY id")}


def _step_of(entry: Entry, state: State) -> Step | None:  # noqa: PLR0911 - one row per entry type
    match entry:
        case Commanded():
            return Step.COMMAND
        case Captured():
            return Step.CONFIRM if entry.cause in _CONFIRMED else Step.DELIVER
        case Increased():
            return Step.INCREASE
        case Voided() if state is State.HELD:
            return Step.CANCEL
        case Voided():
            return Step.DENY if entry.cause in _CONFIRMED else Step.FAIL
        case Expired():
            return Step.LAPSE
        case InDoubt():
            return Step.NO_ANSWER
        case Refunded():
            return Step.REFUND
        case LateEvidence():
            return Step.EVIDENCE
        case _:
            return None


def replayed(journal: list[Entry]) -> dict[bytes, State]:
    """Return the states that the journal tells, each step taken from the table (an illegal one raises)."""
    found: dict[bytes, State] = {}
    for entry in journal:
        key = entry.header.authorization_id
        if key is None:
            continue
        if isinstance(entry, Held | Declined):
            assert key not in found, "an authorization begins once"
            found[key] = State.HELD if isinstance(entry, Held) else State.DECLINED
            continue
        step = _step_of(entry, found[key])
        assert step is not None, entry
        found[key] = advance(found[key], step)
    return found


def _lease_figures(journal: list[Entry]) -> dict[tuple[bytes, str, int, bytes], list[int]]:  # noqa: C901 - one row each
    """Return (granted, committed, released, refunded) of each lease as the journal tells them."""
    figures: defaultdict[tuple[bytes, str, int, bytes], list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def count(account_id: bytes | None, parts: Iterable[Part], column: int) -> None:
        for part in parts:
            if account_id is not None and part.lease_epoch:
                figures[account_id, part.unit, part.lease_epoch, part.lot][column] += part.amount

    for entry in journal:
        match entry:
            case LeaseTaken():
                lot = entry.lot.lot if entry.lot else b""
                figures[entry.account_id, entry.unit, entry.lease_epoch, lot][0] += entry.added
            case VoucherTaken() | SlipTaken():
                count(entry.account_id, entry.parts, 0)
            case BroughtIn():
                count(entry.account_id, (*entry.parts, *entry.gifts), 0)
            case Held() | Increased() | LeaseReturned() | LeasePassed() | PaidOutHere():
                count(entry.account_id, entry.parts, 1)
            case Captured():
                count(entry.account_id, entry.released, 2)
            case Voided() | Expired():
                count(entry.account_id, entry.parts, 2)
            case Refunded():
                count(entry.account_id, entry.parts, 3)
            case _:
                pass
    return dict(figures)


def faults_of(store: Reads) -> list[str]:
    """Return everything that is wrong with a ledger; an empty list is the promise."""
    faults = []
    chain = check_chain(store)
    if not chain.ok:
        faults.append(f"chain: {chain.first_bad} {chain.reason}")
    journal = entries(store)
    faults += [f"entry {entry.header.seq} is off by {off}" for entry in journal if (off := imbalance(postings(entry)))]
    told, kept = replayed(journal), states(store)
    if told != kept:
        faults.append(f"authorizations: journal {told} table {kept}")
    leases = {
        (row[0], row[1], row[2], row[3]): list(row[4:])
        for row in store.rows(
            "SELECT account_id, unit, epoch, lot, granted, committed, released, refunded FROM leases"
        )
    }
    if leases != _lease_figures(journal):
        faults.append(f"leases: journal {_lease_figures(journal)} table {leases}")
    faults += [f"lease {key} is overdrawn" for key, row in leases.items() if row[0] - row[1] + row[2] + row[3] < 0]
    return faults + _waiting_faults(journal, told) + _coin_faults(store, journal)


def _waiting_faults(journal: list[Entry], told: dict[bytes, State]) -> list[str]:
    """HELD and SUSPENSE hold exactly the parts of the authorizations that are open."""
    waiting = {Kind.HELD: 0, Kind.SUSPENSE: 0}
    for entry in journal:
        if isinstance(entry, Held | Increased) and entry.header.authorization_id is not None:
            state = told[entry.header.authorization_id]
            if state in (State.HELD, State.COMMANDED):
                waiting[Kind.HELD] += sum(part.amount for part in entry.parts)
            elif state is State.IN_DOUBT:
                waiting[Kind.SUSPENSE] += sum(part.amount for part in entry.parts)
    sums = balances(journal)
    return [
        f"{kind.value}: {-sums.get(Account(kind), 0)}, open authorizations say {amount}"
        for kind, amount in waiting.items()
        if -sums.get(Account(kind), 0) != amount
    ]


def _coin_faults(store: Reads, journal: list[Entry]) -> list[str]:
    booked = {
        account.key: -amount for account, amount in balances(journal).items() if account.kind is Kind.COIN_CREDIT
    }
    kept: dict[str, int] = dict(store.rows("SELECT lane, amount FROM coin_credit WHERE amount > 0"))
    return [] if booked == kept else [f"coin credit: journal {booked} table {kept}"]
