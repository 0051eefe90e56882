"""What the office does in a till roll: seals and receipts, and real books where a story needs them (`office …`)."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from back_office.fleet import closing
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger import counter
from back_office.ledger.booking import Arrived, Booking
from back_office.ledger.desk import Desk, TopUp
from back_office.ledger.findings import Writer
from back_office.ledger.passing import SignedVoucher
from back_office.ledger.verify import prove_books
from back_office.store import books, chains, lots, people, places
from back_office.store.chains import Batch, Chain
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant
from cloud_sync.identity import HubIdentity
from cloud_sync.protocol.batcher import build_body
from cloud_sync.protocol.envelope import STREAM_LEDGER, Header, batch_hash
from cloud_sync.sealing import seal_batch
from edge_agent.ledger import outbox
from edge_agent.ledger.entries import read_records, read_tail
from edge_agent.messages import BatchSealed, LeaseArrived, ReceiptTaken
from payment_core.accounts import Kind
from payment_core.journal import LeasePassed, TimeQuality, decode_entry
from provisioning.identity import enroll_hub, pinned
from tests.back_office.world import KEYS, TENANT
from tests.support.hall import START_MS, VENUE_ID, Hall, account_of
from tests.support.lan import Lan, hub_id_of
from tests.support.roll_words import RollError, minor, money

CHANNEL = "sandbox"


class OfficeVerbs:
    """The `sync`, `prune` and `office` verbs; the roll gives the rest."""

    lan: Lan
    hall: Hall
    at: int
    scene: Any
    folder: Any
    said: str
    step: Callable[..., Any]
    known: Callable[[str], None]
    store: Store | None = None

    @functools.cached_property
    def identities(self) -> dict[bytes, HubIdentity]:
        """The hubs that the books know."""
        return {}

    def _sync_line(self) -> None:
        """Seal what is new at a hall, send it, take the office's receipt; with an office, it is in the books then."""
        first, last = outbox.read_cursor(self.hall.store).seq + 1, read_tail(self.hall.store).seq
        batches = outbox.read_cursor(self.hall.store).batch_seq + 1
        digest = hashlib.sha256(bytes([batches])).digest()
        self.step(BatchSealed(batches, first, last - first + 1, digest, b"sealed"))
        findings = self._book() if self.store is not None else []
        self.step(ReceiptTaken(batches, last))
        waiting = len(outbox.waiting_batches(self.hall.store))
        self.said = f"{last - first + 1} entries, receipt {batches}, {waiting} waiting"
        if findings:
            self.said = ", ".join(sorted(set(findings)))

    def _prune_line(self) -> None:
        store = self.hall.store
        store.execute("BEGIN IMMEDIATE")
        gone = outbox.prune(store, through_seq=read_tail(store).seq)
        store.commit()
        self.said = f"{gone} entries gone"

    # ------------------------------------------------------------------------------------------------------ the books
    def _books(self) -> Store:
        if self.store is None:
            self.store = open_store(sqlite_url(self.folder / "office.sqlite"), create=True)
            founder = Tenant(TENANT, "Star Arcade", START_MS)
            found_office(self.store, founder, venue_id=VENUE_ID, venue="Star", timezone="Asia/Shanghai")
            for n, name in enumerate(self.scene.hubs, start=1):
                identity = enroll_hub(
                    KEYS, hub_id=hub_id_of(n), venue_id=VENUE_ID, epoch=1, broker_host="127.0.0.1", broker_port=1883
                )
                pin_hub(self.store, TENANT, pinned(identity), venue_id=VENUE_ID, name=name, now_ms=START_MS)
                self.identities[identity.hub_id] = identity
        return self.store

    def _desk(self, tx: Any) -> Desk:
        return Desk(tx, TENANT, places.venues(tx, TENANT)[0], now_ms=self.hall.wall_ms)

    def _office_line(self, verb: str, *words: str) -> None:
        """`office top-up 10.00 for card-7 payment p1`, `office leases card-7 to hall`, `office reverses p1`, …"""
        with self._books().writing() as tx:
            match verb, words:
                case "top-up", [amount, "for", card, "payment", payment]:
                    self._top_up(tx, card, minor(amount), payment)
                case "leases", [card, "to", name]:
                    self._lease(tx, card, name)
                case "reverses", [payment]:
                    wish = counter.Reversal(reversal_id=self._act_id(payment), channel=CHANNEL, payment_id=payment)
                    self._tell(counter.reverse(self._desk(tx), wish))
                case "pays-back", [payment, *amount]:
                    wanted = minor(amount[0]) if amount else None
                    refund_id = self._act_id(f"{payment}-{wanted}")
                    back = counter.PayOut(refund_id=refund_id, channel=CHANNEL, payment_id=payment, amount=wanted)
                    self._tell(counter.pay_out(self._desk(tx), back))
                case "closes", [name]:
                    self._close(tx, name)
                case _:
                    message = f"the office cannot {verb} {' '.join(words)}"
                    raise RollError(message)

    def _top_up(self, tx: Any, card: str, amount: int, payment: str) -> None:
        self.known(card)
        if people.account(tx, TENANT, account_of(card)) is None:
            people.add_account(tx, TENANT, GuestAccount(account_id=account_of(card), created_ms=START_MS))
        wish = TopUp(account_id=account_of(card), unit="CNY", amount=amount, channel=CHANNEL, payment_id=payment)
        done = self._desk(tx).top_up(wish)
        self.said = "again" if getattr(done, "again", False) else "done" if hasattr(done, "office_seq") else "refused"

    def _lease(self, tx: Any, card: str, name: str) -> None:
        n = self.scene.hubs.index(name) + 1
        hub = places.hub(tx, TENANT, hub_id_of(n))
        assert hub is not None
        rows = self._desk(tx).lease(hub, account_of(card))
        known = lots.lots_of_accounts(tx, TENANT, {account_of(card)})
        for place, row in rows.items():
            facts = known[lots.LotKey(place.account_id, place.unit, place.lot)].facts(place.lot) if place.lot else None
            self.step(LeaseArrived(place.account_id, place.unit, place.epoch, row.granted, facts), at=n)
        self.said = "done"

    def _close(self, tx: Any, name: str) -> None:
        hub = next(hub for hub in places.hubs(tx, TENANT) if hub.name == name)
        most = closing.cost(tx, TENANT, hub)
        closing.close(self._desk(tx), hub, by="ada", note="the box is dead", captured=False)
        self.said = f"closed, at most {money(most.leases.get('CNY', 0))}"

    def _act_id(self, text: str) -> bytes:
        return hashlib.sha256(text.encode()).digest()[:16]

    def _tell(self, done: Any) -> None:
        if isinstance(done, counter.Refused):
            self.said = "refused"
        else:
            self.said = f"{money(done.amount)}" + (f", {money(done.owed)} owed" if done.owed else "")

    def _book(self) -> list[str]:
        """Book what a hall has written since the last time; return the kinds of what cannot be right about it."""
        assert self.store is not None
        hub_id = hub_id_of(self.at)
        with self.store.writing() as tx:
            chain = chains.chain(tx, TENANT, hub_id, stream=STREAM_LEDGER, epoch=1)
            if chain is None:
                chain = Chain(hub_id=hub_id, stream=STREAM_LEDGER, epoch=1)
                chains.add_chain(tx, TENANT, chain)
            rows = read_records(self.hall.store, after_seq=chain.rec_seq, limit=10_000)
            batch = self._batch(chain, rows)
            chains.add_batch(tx, TENANT, batch)
            writer = Writer(hub_id=hub_id, venue_id=VENUE_ID, stream=STREAM_LEDGER, epoch=1)
            booking = Booking(tx, TENANT, writer, now_ms=self.hall.wall_ms, read_voucher=self._read_voucher)
            for _seq, record, head in rows:
                booking.add(Arrived(decode_entry(record), record, head))
            booking.finish()
            moved = Chain(
                hub_id=hub_id, stream=STREAM_LEDGER, epoch=1, rec_seq=rows[-1][0], tail_hash=rows[-1][2],
                batch_seq=batch.batch_seq, batch_hash=batch.hash,
            )  # fmt: skip
            chains.move_chain(tx, TENANT, moved)
            return [finding.kind for finding in booking.findings]

    def _batch(self, chain: Chain, rows: list[tuple[int, bytes, bytes]]) -> Batch:
        """Seal what is new as the hub does."""
        identity = self.identities[chain.hub_id]
        sealer, signer = identity.office_sealer, identity.signer
        header = Header(
            hub_id=chain.hub_id, epoch=1, batch_seq=chain.batch_seq + 1, first_record=chain.rec_seq + 1,
            record_count=len(rows), created_ms=self.hall.wall_ms, time_quality=TimeQuality.SYNCED,
            recipient_key=sealer.key_id, signer_key=signer.key_id, previous_batch_hash=chain.batch_hash,
            journal_tail_hash=rows[-1][2],
        )  # fmt: skip
        body = build_body([record for _seq, record, _head in rows])
        data = seal_batch(header, body, sealer=sealer, signer=signer)
        return Batch(
            hub_id=chain.hub_id, stream=STREAM_LEDGER, epoch=1, batch_seq=header.batch_seq, hash=batch_hash(data),
            first_rec=header.first_record, rec_count=len(rows), received_ms=self.hall.wall_ms, sealed=data,
        )  # fmt: skip

    def _read_voucher(self, giver: bytes, signed: bytes) -> SignedVoucher | None:
        """Find what a hall gave: the LAN of a roll carries a name where a signature would stand."""
        n = self.lan.numbers[giver]
        if signed != b"signed by hall %d" % n:
            return None
        passed = [entry for entry in _journal(self.lan.hall(n)) if isinstance(entry, LeasePassed)]
        taken = getattr(self, "_vouchers", 0)
        self._vouchers = taken + 1
        entry = passed[min(taken, len(passed) - 1)]
        return SignedVoucher(
            from_hub=giver, to_hub=entry.to_hub, epoch=1, seq=entry.header.seq, account_id=entry.account_id,
            parts=entry.parts,
        )  # fmt: skip

    def _purse_line(self, card: str, wanted: str, *more: str) -> None:
        """`purse card-7 3.00 owed 2.00 overclaim 1.00`: what the books say of an account."""
        with self._books().reading() as tx:
            rows = books.balances(tx, TENANT)
        key = account_of(card).hex()
        kinds = {
            "purse": Kind.PURSE, "owed": Kind.GUEST_RECEIVABLE, "overclaim": Kind.OVERCLAIM, "passing": Kind.PASSING,
            "lease": Kind.LEASE,
        }  # fmt: skip
        asked = {"purse": wanted, **dict(zip(more[::2], more[1::2], strict=True))}
        for name, amount in asked.items():
            own = (row for row in rows if row.account.kind is kinds[name] and row.account.key == key)
            found = sum(row.amount for row in own)
            found = found if name in ("owed", "overclaim") else -found
            if found != minor(amount):
                message = f"{name} of {card} is {money(found)}, not {amount}"
                raise RollError(message)

    def office_faults(self) -> list[str]:
        """Return what the books say is wrong with themselves."""
        if self.store is None:
            return []
        with self.store.reading() as tx:
            return prove_books(tx, TENANT).faults

    def close(self) -> None:
        """Close all ledgers."""
        self.lan.close()
        if self.store is not None:
            self.store.close()


def _journal(hall: Hall) -> list[Any]:
    return [decode_entry(record) for _seq, record, _hash in read_records(hall.store, after_seq=0, limit=100_000)]
