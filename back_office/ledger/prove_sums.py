"""What is kept beside the entries: accounts, balances, days, takings and late entries, each computed anew."""

from collections import defaultdict
from collections.abc import Iterator

from back_office.ledger.booking import OWED
from back_office.ledger.proof_report import Proof, Wrong
from back_office.ledger.recomputed import Recomputed
from back_office.store import books, proofs, takings
from back_office.store.books import AccountName
from back_office.store.engine import Transaction
from payment_core.accounts import Kind


def prove_accounts_named(tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    """Yield accounts of a kind that the chart does not have, and balances that name another kind than their account.

    Nothing else can be read where there are any.
    """
    known = {kind.value for kind in Kind}
    for number, kind, said in proofs.kinds_of_accounts(tx, tenant_id):
        if kind not in known:
            yield Wrong("accounts", str(number), f"its kind {kind!r} is in no chart")
        elif said not in (None, kind):
            yield Wrong("balances", str(number), f"it is of kind {said!r}, its account of {kind!r}")


def prove_sums(tx: Transaction, tenant_id: bytes, proof: Proof, found: Recomputed) -> None:
    """Compare balances, days and takings with what the entries add up to, and say whether the books balance."""
    kept = {(row.account, row.unit): row.amount for row in books.balances(tx, tenant_id)}
    for wrong in (*_balances(kept, found), *_days(tx, tenant_id, found), *_late(tx, tenant_id, found)):
        proof.wrong(wrong)
    for key, text in found.takings.compare(tx):
        proof.wrong(Wrong("takings", key, text))
    for (name, unit), amount in kept.items():
        if name.kind in OWED and amount > 0:
            found.impossible.append(
                Wrong("balances", _named(name, unit), f"it is impossible: {amount} on the wrong side")
            )
    units: defaultdict[str, int] = defaultdict(int)
    for (_, unit), amount in kept.items():
        units[unit] += amount
    for unit, amount in units.items():
        if amount:
            proof.balanced = False
            proof.fault(f"the books do not balance: {unit} is off by {amount}")


def _balances(kept: dict[tuple[AccountName, str], int], found: Recomputed) -> Iterator[Wrong]:
    for place in sorted(kept.keys() | found.balances.keys()):
        said, summed = kept.get(place, 0), found.balances.get(place, 0)
        if said != summed or place not in found.balances:
            name, unit = place
            text = f"its balance says {said}, its postings add up to {summed}"
            yield Wrong("balances", _named(name, unit), text)


def _days(tx: Transaction, tenant_id: bytes, found: Recomputed) -> Iterator[Wrong]:
    days = {
        (row.business_date, row.type, row.tender, row.balance.account, row.balance.unit): row
        for row in books.days(tx, tenant_id)
    }
    for day in sorted(days.keys() | found.days.keys()):
        row = days.get(day)
        kept = (row.balance.amount, row.postings) if row else (0, 0)
        if kept != (found.days.get(day, 0), found.day_lines.get(day, 0)):
            date, number, _, name, unit = day
            key = f"{date} type {number} {_named(name, unit)}"
            yield Wrong("days", key, "the day is not what its postings say")


def _late(tx: Transaction, tenant_id: bytes, found: Recomputed) -> Iterator[Wrong]:
    said = {(row.hub_id, row.stream, row.epoch, row.seq): row for row in found.takings.late}
    for row in takings.late_entries(tx, tenant_id):
        if said.get((row.hub_id, row.stream, row.epoch, row.seq)) != row:
            key = f"{row.hub_id.hex()}/{row.stream}/{row.epoch}/{row.seq}"
            yield Wrong("late_entries", key, "venue or date are not those of its entry, or there is no such entry")


def _named(name: AccountName, unit: str) -> str:
    return f"account {name.kind.value} {name.key} {unit}"
