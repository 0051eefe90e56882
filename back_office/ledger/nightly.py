"""What is looked at every night: do the books balance, and are the balances what the postings add up to (OPS-3).

The whole proof is `venuehub office verify`; this is the part of it that is cheap enough to run beside an open venue.
"""

from back_office.ledger.prove_sums import prove_accounts_named
from back_office.ledger.trial import balance
from back_office.store import books, papers, proofs
from back_office.store.engine import Transaction
from back_office.store.papers import Alarm

KIND = "books_off"


def faults_of_night(tx: Transaction, tenant_id: bytes) -> list[str]:
    """Return what is wrong with the sums of the books, unit by unit, then account by account; nothing: all is well."""
    if named := [f"{one.table} {one.key}: {one.text}" for one in prove_accounts_named(tx, tenant_id)]:
        return named  # nothing else can be read then
    units = balance(tx, tenant_id).off.items()
    off = [f"the books do not balance: {unit} is off by {amount}" for unit, amount in units]
    kept = {(row.account, row.unit): row.amount for row in books.balances(tx, tenant_id)}
    posted = proofs.posted_sums(tx, tenant_id)
    for place in sorted(kept.keys() | posted.keys()):
        if kept.get(place, 0) != posted.get(place, 0):
            name, unit = place
            where = f"account {name.kind.value} {name.key} {unit}"
            off.append(f"{where}: its balance says {kept.get(place, 0)}, its postings add up to {posted.get(place, 0)}")
    return off


def raise_once(tx: Transaction, tenant_id: bytes, faults: list[str], *, now_ms: int) -> bool:
    """Raise one alarm for what was found, unless the same was told before; say whether it was raised."""
    if not faults:
        return False
    more = f", and {len(faults) - 1} more: venuehub office verify names them" if len(faults) > 1 else ""
    return papers.raise_new(tx, tenant_id, Alarm(KIND, tenant_id, f"{faults[0]}{more}", now_ms))
