"""What entries say about lots, vouchers and slips beside their sums: whose they are, who opened and who passed them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from back_office.ledger.findings import Writer
from back_office.ledger.proof_report import Wrong
from back_office.store.lots import LotKey, LotRow, PassKey, PassRow, pass_id
from payment_core.journal import (
    Entry,
    LeasePassed,
    Lot,
    PassingReturned,
    SlipIssued,
    SlipReturned,
    SlipTaken,
    VoucherTaken,
)

_NOTHING = LotRow()


class GuestFacts:
    """Gathers what entries name; then every kept row has to be of something that was named."""

    def __init__(self, tenant_id: bytes) -> None:
        """Nothing is named yet."""
        self._tenant_id = tenant_id
        self._lots: defaultdict[bytes, set[Lot]] = defaultdict(set)
        self._ways: defaultdict[bytes, set[tuple[bytes, bytes, bytes]]] = defaultdict(set)
        """By number: (to whom, whose account, from whom)."""
        self._takers: defaultdict[bytes, set[bytes]] = defaultdict(lambda: {b""})

    def take(self, entry: Entry, writer: Writer) -> None:
        """Gather what one entry names."""
        named = (getattr(entry, "lot", None), *getattr(entry, "lots", ()), *getattr(entry, "gifts", ()))
        for one in named:
            lot = one if isinstance(one, Lot) else getattr(one, "lot", None)
            if isinstance(lot, Lot):
                self._lots[lot.lot].add(lot)
        match entry:
            case LeasePassed():
                number = pass_id(writer.hub_id, writer.epoch, entry.header.seq)
                self._ways[number].add((entry.to_hub, entry.account_id, writer.hub_id))
            case VoucherTaken():
                number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
                self._ways[number].add((writer.hub_id, entry.account_id, entry.from_hub))
                self._takers[number].add(writer.hub_id)
            case PassingReturned():
                number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
                self._ways[number].add((entry.to_hub, entry.account_id, entry.from_hub))
                self._takers[number].add(entry.to_hub)
            case SlipIssued():
                self._ways[entry.slip_id].add((b"", entry.account_id, self._tenant_id))
            case SlipTaken():
                for to_hub in (b"", writer.hub_id):
                    self._ways[entry.slip_id].add((to_hub, entry.account_id, self._tenant_id))
                self._takers[entry.slip_id].add(writer.hub_id)
            case SlipReturned():
                self._takers[entry.slip_id].update(entry.closed)
            case _:
                pass

    def compare_lots(self, held: Mapping[LotKey, LotRow]) -> Iterator[Wrong]:
        """Yield lots that say of themselves what no entry said of them."""
        for key, row in sorted(held.items()):
            named = [LotRow.of(lot) for lot in self._lots[key.lot]] if key.lot else []
            if _facts(row) not in [_facts(one) for one in (_NOTHING, *named)]:
                name = f"{key.account_id.hex()} {key.unit} {key.lot.hex() or 'none'}"
                yield Wrong("lots", name, "kind, times, payment or terms are not what the entry that opened it says")

    def compare_passing(self, ways: Mapping[PassKey, PassRow]) -> Iterator[Wrong]:
        """Yield vouchers and slips that no entry gave so."""
        for key, row in sorted(ways.items()):
            named = (key.to_hub, row.account_id, row.from_hub) in self._ways[key.pass_id]
            if not named or row.taker not in self._takers[key.pass_id]:
                yield Wrong("passing", f"{key.pass_id.hex()} {key.unit}", "no entry says from whom to whom it went so")


def _facts(row: LotRow) -> tuple[object, ...]:
    return (row.kind, row.opened_ms, row.expires_ms, row.channel, row.payment_id, row.terms)
