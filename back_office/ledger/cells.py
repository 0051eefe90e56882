"""Money between cells: sent out of a purse here, taken into one there, once, whatever dies in between.

A cell is a database of its own with its own hubs. What is sent stands in an outbox, written in the transaction that
books it; the relay brings it to the other cell, which books it under (sender, seq) at most once; then the outbox is
told. Killed anywhere, the relay is run again. What is sent stands on `clearing` against the other cell, and what is
taken on the other side: over all cells that sums to what is on its way, and to nothing once all is taken.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from back_office.ledger.counter import Done, Refused
from back_office.ledger.desk import Desk
from back_office.store import acts, cells, lots, papers, people
from back_office.store.acts import Act
from back_office.store.cells import Sent, Taken
from back_office.store.engine import Store, Transaction
from back_office.store.papers import Alarm
from back_office.store.people import GuestAccount
from payment_core.journal import CellLot, CellSent, CellTaken, Entry, Header, decode_entry, encode_entry
from payment_core.lots import spend_order
from payment_core.posting import clearing_of
from payment_core.wording import counted

PAGE: Final = 100
"""How much the relay brings over in one transaction."""
MOST_NAMED: Final = 10
"""So many entries are named in an alarm."""
LONGEST_NAME: Final = 32
_KIND: Final = "cell_sent"
DeskAt = Callable[[Transaction], Desk]
"""Makes the desk of a cell in one of its transactions."""


class SendOut(msgspec.Struct, frozen=True, kw_only=True):
    """Send money of an account to another cell. amount None: all that its purse has of the unit."""

    send_id: bytes
    account_id: bytes
    unit: str
    to_cell: str
    by: str
    amount: int | None = None


class Letter(msgspec.Struct, frozen=True):
    """What one cell tells another: its own name, its CellSent as it stands in its journal, and whose purse it was."""

    from_cell: str
    sent: Sent
    guest: GuestAccount | None


class Relayed(msgspec.Struct):
    """What a run of the relay did: `taken` were new there, `again` had been taken, `refused` wait with an alarm."""

    taken: int = 0
    again: int = 0
    refused: list[str] = msgspec.field(default_factory=list)


def name_cells(desk: Desk, own: str, others: Iterable[str]) -> Refused | None:
    """Say which cell these books are and which others there are; a name that was given is never given away."""
    tx, known = desk.tx, cells.cells(desk.tx, desk.tenant_id)
    mine = own_cell(tx, desk.tenant_id)
    if mine not in {"", own} or known.get(own) is False:
        return Refused(f"these books are cell {mine or 'without a name'}, and {own} is told of as another")
    wanted = {own: True, **dict.fromkeys(others, False)}
    for name, is_own in wanted.items():
        if not name.isidentifier() or not name.isascii() or len(name) > LONGEST_NAME:
            return Refused(f"{name!r} is no name of a cell", f"letters, digits and _, at most {LONGEST_NAME}")
        if known.get(name, is_own) is not is_own:
            return Refused(f"{name} is these books' own name")
        if name not in known:
            cells.name_cell(tx, desk.tenant_id, name, own=is_own)
    return None


def own_cell(tx: Transaction, tenant_id: bytes) -> str:
    """Return the name of the cell that these books are; empty where they have none."""
    return next((name for name, own in cells.cells(tx, tenant_id).items() if own), "")


def send_out(desk: Desk, wish: SendOut) -> Done | Refused:
    """Book money out of a purse and put it into the outbox; what the guest owes here is settled first."""
    known = acts.act(desk.tx, desk.tenant_id, _KIND, wish.send_id)
    content = sha256(msgspec.msgpack.encode(wish)).digest()
    if known is not None:
        if known.content == content:
            return Done(known.office_seq, again=True)
        return Refused(f"{wish.send_id.hex()} was sent as entry {known.office_seq} with another content")
    chosen = _refused_here(desk, wish) or _chosen(desk, wish)
    if isinstance(chosen, Refused):
        return chosen
    made: list[CellSent] = []

    def entry(header: Header) -> Entry:
        made.append(CellSent(1, header, wish.account_id, wish.to_cell, chosen, wish.by))
        return made[-1]

    seq = desk.append(entry)
    cells.add_sent(desk.tx, desk.tenant_id, Sent(wish.to_cell, seq, encode_entry(made[-1]), desk.now_ms))
    acts.add_act(desk.tx, desk.tenant_id, Act(_KIND, wish.send_id, content, seq, desk.now_ms))
    return Done(seq, amount=sum(lot.amount for lot in chosen))


def take_in(desk: Desk, letter: Letter) -> Done | Refused:
    """Book what another cell sent, once for each of its seqs; the same seq with another content is alarmed."""
    tx, tenant_id, sent = desk.tx, desk.tenant_id, letter.sent
    before = cells.taken_at(tx, tenant_id, letter.from_cell, sent.office_seq)
    record_hash = sha256(sent.record).digest()
    if before is not None and before.hash == record_hash:
        return Done(before.office_seq, again=True)
    told = decode_entry(sent.record)
    wrong = _wrong(desk, letter, told) if before is None else "it was taken before with another content"
    if wrong:
        why = f"cell {letter.from_cell}, entry {sent.office_seq}: {wrong}; nothing of it is booked"
        papers.raise_new(tx, tenant_id, Alarm("cell_refused", tenant_id, why, desk.now_ms))  # the relay comes again
        return Refused(why)
    assert isinstance(told, CellSent)
    if letter.guest is not None and people.account(tx, tenant_id, told.account_id) is None:
        people.add_account(tx, tenant_id, letter.guest)

    def entry(header: Header) -> Entry:
        return CellTaken(1, header, told.account_id, letter.from_cell, sent.office_seq, told.lots)

    seq = desk.append(entry)
    cells.add_taken(tx, tenant_id, Taken(letter.from_cell, sent.office_seq, record_hash, seq, desk.now_ms))
    return Done(seq, amount=sum(lot.amount for lot in told.lots))


def relay(source: Store, target: Store, *, at_source: DeskAt, at_target: DeskAt) -> Relayed:
    """Bring over what the target's cell has not taken yet of the source's; run again after whatever happened.

    The target books first, and only then the source notes it: killed between both, the target has it already. A target
    that was restored from a backup is brought again what it has forgotten; a source that was is told what it sent.
    """
    with target.reading() as tx:
        to_cell = own_cell(tx, at_target(tx).tenant_id)
    done = Relayed(refused=_forgotten(source, target, to_cell, at_source))
    _offer_again(source, target, to_cell, at_source)
    refused: set[int] = set()
    while True:
        with source.reading() as tx:
            page = _letters(at_source(tx), to_cell, most=PAGE + len(refused))
        page = [letter for letter in page if letter.sent.office_seq not in refused]
        if not page:
            return done
        outcomes = target.write(partial(_take_page, at_target, page))
        has = []
        for letter, outcome in zip(page, outcomes, strict=True):
            if isinstance(outcome, Done):
                done.again += outcome.again
                done.taken += not outcome.again
                has.append(letter.sent.office_seq)
            else:
                done.refused.append(outcome.why)
                refused.add(letter.sent.office_seq)
        source.write(partial(_note, at_source, to_cell, has))


def _forgotten(source: Store, target: Store, to_cell: str, at_source: DeskAt) -> list[str]:
    """Return what the target has taken and the source does not know that it sent, and alarm it there, once.

    A source that was set back has that money in its purses again: it is there twice until a person settles it. The
    target is asked first: what it has by then the source has sent before. Where as much is taken as the source was told
    of, and their seqs add up to the same, nobody reads all that was ever sent.
    """
    with source.reading() as tx:
        tenant_id = at_source(tx).tenant_id
        own, said = own_cell(tx, tenant_id), cells.how_many_said(tx, tenant_id, to_cell)
    with target.reading() as tx:
        if cells.how_many_taken(tx, tenant_id, own) == said:
            return []
        taken = [one.from_seq for one in cells.taken(tx, tenant_id) if one.from_cell == own]
    with source.reading() as tx:
        lost = set(taken) - {one.office_seq for one in cells.sent(tx, tenant_id) if one.to_cell == to_cell}
    if not lost:
        return []
    told = ", ".join(str(seq) for seq in sorted(lost)[:MOST_NAMED])
    why = f"cell {to_cell} has taken {counted(len(lost), 'sum')} unknown to these books (entries {told}): a backup?"

    def tell(tx: Transaction) -> None:
        desk = at_source(tx)
        papers.raise_new(tx, tenant_id, Alarm("cell_forgot", tenant_id, f"{why} They are there twice", desk.now_ms))

    source.write(tell)
    return [why]


def _offer_again(source: Store, target: Store, to_cell: str, at_source: DeskAt) -> None:
    """Let wait what the source was told is taken, and the target does not have.

    The source is asked first: what it was told by then stood in the target's books before.
    """
    with source.reading() as tx:
        tenant_id = at_source(tx).tenant_id
        own, said = own_cell(tx, tenant_id), cells.how_many_said(tx, tenant_id, to_cell)
    with target.reading() as tx:
        if cells.how_many_taken(tx, tenant_id, own)[0] >= said[0]:
            return
    with source.reading() as tx:
        gone = {one.office_seq for one in cells.sent(tx, tenant_id) if one.to_cell == to_cell and one.taken_ms}
    with target.reading() as tx:
        gone -= {one.from_seq for one in cells.taken(tx, tenant_id) if one.from_cell == own}
    source.write(lambda tx: cells.set_waiting(tx, tenant_id, to_cell, sorted(gone)))


def clearing_of_cells(tx: Transaction, tenant_id: bytes) -> dict[tuple[str, str], int]:
    """Return what stands between these books and each other cell, by (cell, unit), debit positive."""
    names = {clearing_of(name).key: name for name, own in cells.cells(tx, tenant_id).items() if not own}
    return {(names[key], unit): amount for key, unit, amount in cells.clearing(tx, tenant_id, list(names))}


def clearing_sum(stores: Iterable[Store], tenant_id: bytes) -> dict[str, int]:
    """Return what is on its way between cells by unit: the sum over all of them, without what is nothing."""
    sums: defaultdict[str, int] = defaultdict(int)
    for store in stores:
        with store.reading() as tx:
            for (_, unit), amount in clearing_of_cells(tx, tenant_id).items():
                sums[unit] += amount
    return {unit: amount for unit, amount in sums.items() if amount}


# ---- inside ----


def _refused_here(desk: Desk, wish: SendOut) -> Refused | None:
    if cells.cells(desk.tx, desk.tenant_id).get(wish.to_cell) is not False:
        return Refused(f"{wish.to_cell} is no other cell that these books know", "name it first")
    if not own_cell(desk.tx, desk.tenant_id):
        return Refused("these books have no name among cells yet", "name them first")
    if desk.learning:
        return Refused("these books were restored and learn from hubs what they granted", "wait until all were heard")
    return None


def _chosen(desk: Desk, wish: SendOut) -> tuple[CellLot, ...] | Refused:
    """Return what goes of which lots after debts: gifts first, what runs out soonest before what stays."""
    desk.settle_debt(wish.account_id, wish.unit)
    held = lots.live_lots(desk.tx, desk.tenant_id, {wish.account_id: ()})
    of_unit = {key.lot: row for key, row in held.items() if key.unit == wish.unit}
    shares = spend_order([row.share(lot) for lot, row in of_unit.items()], "gift_first", now_ms=desk.now_ms)
    there = sum(share.amount for share in shares)
    rest = there if wish.amount is None else wish.amount
    if not 1 <= rest <= there:
        why = f"{rest} {wish.unit} cannot be sent: {there} are in the purse"
        return Refused(why, "what hubs hold is returned first")
    chosen = []
    for share in shares:
        amount = min(share.amount, rest)
        rest -= amount
        if amount:
            chosen.append(CellLot(wish.unit, amount, of_unit[share.lot].facts(share.lot)))
    return tuple(chosen)


def _letters(desk: Desk, to_cell: str, *, most: int) -> list[Letter]:
    own = own_cell(desk.tx, desk.tenant_id)
    letters = []
    for sent in cells.waiting(desk.tx, desk.tenant_id, to_cell, most=most):
        told = decode_entry(sent.record)
        assert isinstance(told, CellSent)  # these books wrote it
        letters.append(Letter(own, sent, people.account(desk.tx, desk.tenant_id, told.account_id)))
    return letters


def _wrong(desk: Desk, letter: Letter, told: Entry) -> str:
    """Return what is wrong with a letter that was never taken; empty: nothing."""
    own = own_cell(desk.tx, desk.tenant_id)
    if cells.cells(desk.tx, desk.tenant_id).get(letter.from_cell) is not False:
        return "these books know no such other cell"
    if not isinstance(told, CellSent) or told.header.seq != letter.sent.office_seq:
        return "it is not what its number says"
    if told.to_cell != own:
        return f"it is for {told.to_cell} and this is {own}"
    return "" if told.lots and all(lot.amount > 0 for lot in told.lots) else "it moves nothing"


def _take_page(at: DeskAt, page: list[Letter], tx: Transaction) -> list[Done | Refused]:
    desk = at(tx)
    return [take_in(desk, letter) for letter in page]


def _note(at: DeskAt, to_cell: str, seqs: list[int], tx: Transaction) -> None:
    desk = at(tx)
    cells.set_taken(tx, desk.tenant_id, to_cell, seqs, now_ms=desk.now_ms)
