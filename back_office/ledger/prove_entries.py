"""Entry by entry: the hash chain, what a row says beside its record, its postings and their seal."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from back_office.ledger.authorizations import Authorizations
from back_office.ledger.dates import came_on
from back_office.ledger.findings import Line, Writer, full_name
from back_office.ledger.posted import posted_seal
from back_office.ledger.proof_report import Proof, Wrong
from back_office.ledger.recomputed import Recomputed, Sums
from back_office.ledger.recount import GUEST_KINDS
from back_office.store import chains, proofs
from back_office.store.books import Balance
from back_office.store.chains import Chain, EntryRow
from back_office.store.engine import Transaction
from payment_core.errors import VaultError
from payment_core.journal import Entry, chain_hash, decode_entry
from payment_core.posting import postings

_PAGE: Final = 1_000


def entry_key(row: EntryRow) -> str:
    """Return the key of an entry as people look it up: hub, stream, epoch and seq."""
    return f"{row.hub_id.hex()}/{row.stream}/{row.epoch}/{row.seq}"


class ChainProof:
    """Follows one journal. `found` adds up what its entries say, for the proofs of what is kept beside them."""

    def __init__(self, tx: Transaction, tenant_id: bytes, writer: Writer, proof: Proof, found: Recomputed) -> None:
        """Begin; `writer`: whose journal it is."""
        self._tx, self._tenant_id = tx, tenant_id
        self._writer, self._proof, self._found = writer, proof, found
        self._sealed = False
        """Whether an entry of this journal had a seal: from then on each has."""

    def prove(self, chain: Chain) -> None:
        """Follow it to its end, which its watermark has to name."""
        proof, where = self._proof, f"{chain.hub_id.hex()}/{chain.stream}/{chain.epoch}"
        self._found.authorizations = Authorizations()
        seq, tail = 0, chains.NOTHING
        for page in _pages(chains.entries_of(self._tx, self._tenant_id, chain)):
            asked = (self._tx, self._tenant_id, chain)
            stored = proofs.numbered_postings(*asked, first=page[0].seq, last=page[-1].seq)
            for row in page:
                if row.seq != seq + 1:
                    proof.gaps += row.seq - seq - 1
                    first, last = seq + 1, row.seq - 1
                    gone = f"entry {first} is" if first == last else f"entries {first} to {last} are"
                    proof.wrong(Wrong("entries", f"{where}/{first}", f"{gone} missing"))
                tail = chain_hash(tail, row.record)
                if tail != row.hash:
                    proof.wrong(Wrong("entries", entry_key(row), f"entry {row.seq} does not continue the hash chain"))
                    tail = row.hash
                self._prove_entry(row, stored.pop(row.seq, []))
                seq = row.seq
                proof.entries += 1
            for strange in sorted(stored):
                proof.wrong(Wrong("postings", f"{where}/{strange}", "there is no such entry"))
        if (seq, tail) != (chain.rec_seq, chain.tail_hash):
            proof.gaps += max(chain.rec_seq - seq, 0)
            text = f"it ends at entry {seq}, its watermark says {chain.rec_seq}, or another hash"
            proof.wrong(Wrong("chains", where, text))

    def _prove_entry(self, row: EntryRow, numbered: list[tuple[int, Balance]]) -> None:
        proof, found, writer = self._proof, self._found, self._writer
        key, stored = entry_key(row), [posting for _, posting in numbered]
        try:
            entry = decode_entry(row.record)
        except VaultError as error:
            proof.wrong(Wrong("entries", key, str(error)))
            return
        for what in _differing(row, entry, writer):
            proof.wrong(Wrong("entries", key, f"its {what} is not what its record says"))
        lines: list[Line] = [(posting.account, posting.unit, posting.amount) for posting in stored]
        self._prove_lines(row, [line for line, _ in numbered], lines)
        for posting in stored:
            found.balances[posting.account, posting.unit] += posting.amount
            place = (row.business_date, row.type, entry.header.tender, posting.account, posting.unit)
            found.days[place] += posting.amount
            found.day_lines[place] += 1
        said = [Balance(full_name(one.account, writer, entry), one.unit, one.amount) for one in postings(entry)]
        if any(_sums(stored).values()):
            proof.balanced = False
        if not _agree(stored, said):
            proof.wrong(Wrong("postings", key, f"entry {row.seq}: its postings are not what the entry says"))
        found.take(entry, writer, row, stored, lines)
        wrong = found.authorizations.take(entry)
        if wrong:
            found.impossible.append(Wrong("entries", key, f"{type(entry).__name__} is impossible: {wrong}"))

    def _prove_lines(self, row: EntryRow, numbers: list[int], lines: list[Line]) -> None:
        key = entry_key(row)
        if numbers != list(range(len(numbers))):
            self._proof.wrong(Wrong("postings", key, f"entry {row.seq}: its lines are numbered {numbers}"))
        if row.posted:
            self._sealed = True
            if row.posted != posted_seal(row.received_ms, lines):
                text = f"entry {row.seq}: its postings, or when it came, are not what was written with it"
                self._proof.wrong(Wrong("postings", key, text))
        elif self._sealed:  # entries of a release before seals stand before all that have one
            self._proof.wrong(Wrong("entries", key, "its postings have no seal"))


def _pages(rows: Iterator[EntryRow]) -> Iterator[list[EntryRow]]:
    page: list[EntryRow] = []
    for row in rows:
        page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _differing(row: EntryRow, entry: Entry, writer: Writer) -> Iterator[str]:
    """Yield which columns say otherwise than the record; the date may be the one on which the entry came."""
    header = entry.header
    said = {
        "seq": header.seq, "type": entry.number(), "version": entry.version, "business_date": header.business_date,
        "wall_ms": header.wall_ms, "authorization_id": header.authorization_id, "machine": header.machine,
    }  # fmt: skip
    for name, value in said.items():
        if getattr(row, name) != value and not (name == "business_date" and _is_of_its_coming(row, writer)):
            yield name


def _is_of_its_coming(row: EntryRow, writer: Writer) -> bool:
    """Say whether a row has the date of when it came, which the postings' seal covers, and not its record's."""
    return writer.days is not None and row.business_date == came_on(row.received_ms, writer.days)


def _sums(stored: list[Balance]) -> dict[str, int]:
    """Return what an entry's postings add up to in each unit: nothing, or the books do not balance."""
    units: defaultdict[str, int] = defaultdict(int)
    for row in stored:
        units[row.unit] += row.amount
    return units


def _agree(stored: list[Balance], said: list[Balance]) -> bool:
    """Say whether stored postings are what the entry says, but for what a hub had no right to.

    That is booked beside the guests: so the two may differ in guests' accounts and over-claims, by nothing in sum.
    Which of these it was to be is proven by the leases, the lots and what is on its way; that it was not changed
    since, by the seal.
    """
    sums: Sums = defaultdict(int)
    units: defaultdict[str, int] = defaultdict(int)
    for row, sign in (*((row, 1) for row in stored), *((row, -1) for row in said)):
        sums[row.account, row.unit] += sign * row.amount
        units[row.unit] += sign * row.amount
    beside = all(name.kind in GUEST_KINDS for (name, _), amount in sums.items() if amount)
    return beside and not any(units.values())
