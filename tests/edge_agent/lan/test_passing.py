"""Leases that follow the guest over the LAN: asked, given, taken once, sent again, and conserved at every cut."""

import msgspec
import pytest

from cloud_sync.protocol.batcher import MAX_RECORD_BYTES
from cloud_sync.protocol.messages import HeardOf
from cloud_sync.protocol.peers import PeerAsk, PeerNothing, PeerTaken, Voucher
from edge_agent.lan.passing import MAX_LIVE_LEASES, MAX_PARTS, MAX_SIGNED_BYTES, MAX_TEXT_BYTES, MAX_UNIT_BYTES
from edge_agent.ledger import outbox, vouchers
from edge_agent.messages import AskLease, BatchSealed, DocumentArrived, LeaseArrived, Recalled, ReceiptTaken
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from edge_agent.step.site import Site
from payment_core.journal import LeasePassed, LeaseReturned, Lot, LotKind, Part, VoucherTaken
from payment_core.money import MAX_MINOR
from tests.support.hall import PRICE, Hall, account_of, commands, logged, prices_document, the_view, views
from tests.support.lan import Lan, hub_id_of, journal_of
from tests.support.ledger_truth import faults_of


@pytest.fixture
def lan(tmp_path):
    lan = Lan(tmp_path)
    yield lan
    for hall in lan.halls:
        assert faults_of(hall.store) == []
    lan.close()


def sent(effects):
    return [effect.body for effect in effects if isinstance(effect, ToPeer)]


def test_a_guest_walks_to_the_other_hall_and_plays(lan):
    lan.enroll("card-7", 1_000)
    effects = lan.step(2, lan.hall(2).tap("card-7"))
    view = the_view(effects)
    assert (view.state, view.where, view.until_ms) == ("fetching", "hall 1", lan.hall(2).wall_ms + 300)
    assert not [effect for effect in effects if isinstance(effect, AskLease)]
    effects = lan.run()
    assert [view.state for view in views(effects)] == ["held"]
    assert len(commands(effects)) == 1
    assert lan.balances("card-7") == [0, 800]
    passed = next(entry for entry in journal_of(lan.hall(1)) if isinstance(entry, LeasePassed))
    taken = next(entry for entry in journal_of(lan.hall(2)) if isinstance(entry, VoucherTaken))
    assert (taken.from_hub, taken.from_epoch, taken.from_seq) == (hub_id_of(1), 1, passed.header.seq)
    assert taken.voucher == b"signed by hall 1"
    assert lan.hall(1).store.rows("SELECT taken FROM vouchers_given") == [(1,)]


def test_every_unit_comes_with_its_lots(lan):
    lan.enroll("card-7", 150)
    lot = Lot(bytes(range(16)), LotKind.GIFT, 5, None, "cash", "p-1", 2)
    lan.step(1, LeaseArrived(account_of("card-7"), "CNY", 1, 70, lot), lan.hall(1).lease("card-7", 30, unit="bonus"))
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.run()
    assert lan.balances("card-7") == [0, 20]
    assert lan.balances("card-7", "bonus") == [0, 30]
    assert lan.hall(2).store.rows("SELECT kind FROM leases WHERE lot = ?", (lot.lot,)) == [(LotKind.GIFT,)]


def test_who_has_nothing_says_so_at_once_and_then_the_office_is_asked(lan):
    lan.enroll("card-7")
    lan.step(2, lan.hall(2).tap("card-7"))
    effects = lan.deliver_one()
    assert sent(effects) == [PeerNothing(account_of("card-7"), lan.hall(2).wall_ms, moving=False)]
    assert AskLease(account_of("card-7")) in lan.deliver_one()
    assert lan.hall(2).till.outstanding == 1
    assert views(lan.wait(299)) == []
    assert the_view(lan.wait(1)).reason == "offline_limit"


def test_a_decline_comes_when_all_have_answered_and_not_later(lan):
    lan.enroll("card-7")
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.run()
    effects = lan.step(2, lan.hall(2).lease("card-7", 10))
    assert (the_view(effects).state, the_view(effects).reason) == ("declined", "not_enough")


def test_a_part_from_a_neighbour_and_the_rest_from_the_office(lan):
    lan.enroll("card-7", 150)
    lan.step(2, lan.hall(2).tap("card-7"))
    effects = lan.run()
    assert [(view.state, view.where) for view in views(effects)] == [("fetching", "hall 1")]
    assert AskLease(account_of("card-7")) in effects
    effects = lan.step(2, lan.hall(2).lease("card-7", 50))
    assert the_view(effects).state == "held"
    assert lan.balances("card-7") == [0, 0]


def test_two_neighbours_have_a_part_each(tmp_path):
    lan = Lan(tmp_path, halls=3)
    lan.enroll("card-7", 120, at=1)
    lan.step(3, lan.hall(3).lease("card-7", 90))
    lan.step(2, lan.hall(2).tap("card-7"))
    effects = lan.run()
    assert [view.state for view in views(effects)] == ["fetching", "held"]
    assert lan.balances("card-7") == [0, 10, 0]
    lan.close()


def test_without_neighbours_or_lan_the_office_is_asked_at_once(lan):
    lan.enroll("card-7", 1_000)
    lan.step(2, LanLink(up=False))
    effects = lan.step(2, lan.hall(2).tap("card-7"))
    assert AskLease(account_of("card-7")) in effects
    assert sent(effects) == []


def test_a_silent_neighbour_costs_one_deadline_once(lan):
    lan.enroll("card-7", 100)
    lan.lose = 100
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.run()
    assert not [effect for effect in lan.wait(49) if isinstance(effect, AskLease)]
    assert [effect for effect in lan.wait(1) if isinstance(effect, AskLease)]
    lan.wait(249)
    assert the_view(lan.wait(1)).state == "declined"
    effects = lan.step(2, lan.hall(2).tap("card-7", lane=2))
    assert the_view(effects).state == "declined"
    lan.lose = 0
    lan.run()
    assert the_view(lan.step(2, lan.hall(2).tap("card-7"))).state == "fetching"


def test_a_lost_voucher_is_sent_again_until_it_is_taken(lan):
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.deliver_one()
    lan.wire.clear()
    assert (lan.balances("card-7"), lan.passing(), lan.total()) == ([0, 0], 1_000, 1_000)
    lan.wait(1_000)
    lan.run()
    assert (lan.balances("card-7"), lan.passing()) == ([0, 1_000], 0)
    lan.wait(1_000)
    assert not [item for item in lan.wire if isinstance(item[2].body, Voucher)]


def test_a_lost_confirmation_is_said_again(lan):
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.deliver_one()
    lan.deliver_one()
    lan.wire.clear()
    lan.wait(1_000)
    effects = lan.run()
    assert PeerTaken(1, 4) in sent(effects) or any(isinstance(body, PeerTaken) for body in sent(effects))
    assert lan.balances("card-7") == [0, 800]
    assert sum(isinstance(entry, VoucherTaken) for entry in journal_of(lan.hall(2))) == 1


def test_both_may_be_killed_in_between(lan):
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.deliver_one()
    lan.restart(2)
    lan.restart(1)
    assert lan.total() == 1_000
    lan.wait(1_000)
    lan.run()
    assert lan.balances("card-7") == [0, 1_000]


def test_the_room_of_the_taker_is_kept(tmp_path):
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7", 450)
    lan.enroll("card-8", 300, at=2)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.run()
    assert lan.balances("card-7") == [250, 0]
    assert lan.balances("card-8") == [0, 300]
    assert lan.total() + 200 == 750
    lan.close()


def test_one_account_wanted_in_two_halls_at_once_is_not_refused_while_it_moves(tmp_path):
    lan = Lan(tmp_path, halls=3)
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.step(3, lan.hall(3).tap("card-7"))
    states = [view.state for view in views(lan.run())]
    for _ in range(6):
        states += [view.state for view in views([*lan.wait(50), *lan.run()])]
    assert states.count("held") == 2
    assert "declined" not in states
    assert lan.total() == 600
    lan.close()


def test_a_voucher_of_a_stranger_or_without_sense_changes_nothing(lan):
    lan.enroll("card-7")
    account = account_of("card-7")
    good = Voucher(account, 1, 9, 1, (Part("CNY", 500),))
    assert logged(lan.step(1, FromPeer(bytes(16), 9, good))) == ["peer.unknown"]
    for bad in (
        msgspec.structs.replace(good, parts=()),
        msgspec.structs.replace(good, parts=(Part("CNY", 0),)),
        msgspec.structs.replace(good, parts=(Part("CNY", -5),)),
        msgspec.structs.replace(good, parts=(Part("CNY", 5, None, b"short"),)),
        msgspec.structs.replace(good, parts=(Part("CNY", 5, None, bytes(16)),)),
        msgspec.structs.replace(good, parts=(Part("CNY", 5), Part("CNY", 6))),
        msgspec.structs.replace(good, account_id=b"nobody"),
        msgspec.structs.replace(good, parts=(Part("x" * 33, 5),)),
        msgspec.structs.replace(good, lots=(Lot(bytes(16), LotKind.PAID, 2**63),)),
        msgspec.structs.replace(good, lots=(Lot(bytes(16), LotKind.PAID, 1, None, "c" * 129),)),
        msgspec.structs.replace(good, lots=(Lot(bytes(16), LotKind.PAID, 1, None, "", "p" * 129),)),
        msgspec.structs.replace(good, lots=(Lot(bytes(16), LotKind.PAID, 1),) * 257),
        msgspec.structs.replace(good, parts=tuple(Part(f"u{n}", 1) for n in range(257))),
        msgspec.structs.replace(good, lots=(Lot(bytes(16), LotKind.PAID, 1, 2**64 - 1),)),
    ):
        assert logged(lan.step(1, FromPeer(hub_id_of(2), 9, bad))) == ["voucher.malformed"]
    assert logged(lan.step(1, FromPeer(hub_id_of(2), 9, good, bytes(MAX_SIGNED_BYTES + 1)))) == ["voucher.malformed"]
    assert lan.balances("card-7") == [0, 0]
    lan.step(1, FromPeer(hub_id_of(2), 9, good))
    assert lan.balances("card-7") == [500, 0]


def lots_of(number, count):
    return [number.to_bytes(8, "big") + n.to_bytes(8, "big") for n in range(count)]


def fat_voucher(seq):
    """The most that is taken of a neighbour: every name as long as it may be, every number as big."""
    names = lots_of(seq, MAX_PARTS)
    parts = tuple(Part("u" * MAX_UNIT_BYTES, 2**40, None, lot) for lot in names)
    text = "é" * (MAX_TEXT_BYTES // 2)
    lots = tuple(Lot(lot, LotKind.GIFT, MAX_MINOR, MAX_MINOR, text, text, MAX_MINOR) for lot in names)
    return Voucher(account_of("card-7"), 1, seq, 1, parts, lots)


def test_a_fat_voucher_fits_a_batch_with_all_its_giver_signed(lan):
    lan.enroll("card-7")
    lan.step(1, FromPeer(hub_id_of(2), 9, fat_voucher(9), bytes(MAX_SIGNED_BYTES)))
    assert isinstance(journal_of(lan.hall(1))[-1], VoucherTaken)
    records = lan.hall(1).store.rows("SELECT max(length(record)) FROM entries")
    assert MAX_SIGNED_BYTES < records[0][0] <= MAX_RECORD_BYTES


def test_what_goes_back_fits_a_batch_however_much_a_neighbour_brought(lan):
    lan.enroll("card-7")
    names = []
    for seq in range(9, 9 + MAX_LIVE_LEASES // MAX_PARTS + 1):
        names += logged(lan.step(1, FromPeer(hub_id_of(2), seq, fat_voucher(seq))))
    assert names == ["voucher.too_many_lots"]
    lan.step(1, Recalled(account_of("card-7")))
    assert isinstance(journal_of(lan.hall(1))[-1], LeaseReturned)


def test_who_has_many_lots_passes_them_in_pieces(lan):
    lan.enroll("card-7")
    for lot in lots_of(1, MAX_PARTS + 10):
        lan.step(1, LeaseArrived(account_of("card-7"), "CNY", 1, 1, Lot(lot, LotKind.PAID, 5)))
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.run()
    assert lan.balances("card-7") == [10, MAX_PARTS - PRICE]


def test_other_content_under_the_same_number_is_alarmed_and_not_confirmed(lan):
    lan.enroll("card-7")
    good = Voucher(account_of("card-7"), 1, 9, 1, (Part("CNY", 500),))
    lan.step(1, FromPeer(hub_id_of(2), 9, good))
    forked = msgspec.structs.replace(good, parts=(Part("CNY", 501),))
    effects = lan.step(1, FromPeer(hub_id_of(2), 9, forked))
    assert logged(effects) == ["voucher.forked"]
    assert sent(effects) == []
    assert lan.balances("card-7") == [500, 0]


def test_a_stolen_hub_passes_no_more_than_its_cap_before_a_receipt(tmp_path):
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7")
    for seq in range(1, 4):
        voucher = Voucher(account_of("card-7"), 1, seq, 1, (Part("CNY", 200),))
        effects = lan.step(1, FromPeer(hub_id_of(2), seq, voucher))
    assert logged(effects) == ["voucher.over_cap"]
    assert sent(effects) == []
    assert lan.balances("card-7")[0] == 400
    lan.close()


def thief(lan, *, receipts=3):
    """Let hub 2's keys sign over what there is not, again behind each receipt of hub 1; return what hub 1 took.

    The office hears hub 1 each time, and of hub 2 no more than its first entry: nobody there told of those vouchers.
    """
    hall, seq = lan.hall(1), 10
    for batch in range(1, receipts + 1):
        for _ in range(3):
            seq += 1
            lan.step(1, FromPeer(hub_id_of(2), seq, Voucher(account_of("card-7"), 1, seq, 1, (Part("CNY", 200),))))
        first = outbox.read_cursor(hall.store).seq + 1
        last = journal_of(hall)[-1].header.seq
        heard = (HeardOf(hub_id_of(2), 1, 1),)
        lan.step(1, BatchSealed(batch, first, last - first + 1, bytes(32), b"s"), ReceiptTaken(batch, last, heard))
        lan.enroll(f"card-{batch}", 1)  # so that the next batch has a row
    return lan.balances("card-7")[0]


def test_a_stolen_hub_passes_no_more_than_its_cap_whatever_receipts_its_neighbour_gets(tmp_path):
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7", 1)
    assert thief(lan) == 401
    hall = lan.hall(1)
    first, last = outbox.read_cursor(hall.store).seq + 1, journal_of(hall)[-1].header.seq
    heard = (HeardOf(hub_id_of(2), 1, 99),)
    lan.step(1, BatchSealed(9, first, last - first + 1, bytes(32), b"s"), ReceiptTaken(9, last, heard))
    assert vouchers.on_trust_alone(hall.store, hub_id_of(2)) == 0, "its giver told of it: no bare word"
    lan.close()


def test_a_build_that_trusts_anew_behind_each_receipt_is_caught(tmp_path, monkeypatch):
    def any_receipt(store, hub):
        sql = "SELECT coalesce(sum(amount), 0) FROM vouchers_taken WHERE at_seq > ? AND from_hub = ?"
        return store.rows(sql, (outbox.read_cursor(store).seq, hub))[0][0]

    monkeypatch.setattr(vouchers, "on_trust_alone", any_receipt)
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7", 1)
    assert thief(lan) > 401
    lan.close()


def asking_thief(lan, *, cycles=4):
    """Let hub 2's keys sign over what there is not, and fetch another guest's real money in between.

    Returns what hub 1 took.
    """
    took = 0
    for cycle in range(cycles):
        before = lan.balances("card-7")[0]
        for seq in (20 + 2 * cycle, 21 + 2 * cycle):
            lan.step(1, FromPeer(hub_id_of(2), seq, Voucher(account_of("card-7"), 1, seq, 1, (Part("CNY", 200),))))
        took += lan.balances("card-7")[0] - before
        lan.step(1, Recalled(account_of("card-7")), lan.hall(1).lease("card-8", 400 + 400 * cycle))
        lan.step(1, FromPeer(hub_id_of(2), 100 + cycle, PeerAsk(account_of("card-8"), "CNY")))
        assert lan.balances("card-8")[0] == 0, "real money went to the thief"
    return took


def test_real_money_that_a_stolen_hub_fetches_opens_no_room_for_what_it_forges(tmp_path):
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7")
    lan.enroll("card-8")
    assert asking_thief(lan) == 400
    lan.close()


def test_a_build_that_counts_what_went_back_is_caught(tmp_path, monkeypatch):
    def net(store, hub):
        went = store.rows("SELECT coalesce(sum(amount), 0) FROM vouchers_given WHERE to_hub = ?", (hub,))[0][0]
        return honest(store, hub) - went

    honest = vouchers.on_trust_alone
    monkeypatch.setattr(vouchers, "on_trust_alone", net)
    lan = Lan(tmp_path, risk={"lease_cap": 500})
    lan.enroll("card-7")
    lan.enroll("card-8")
    assert asking_thief(lan) > 400
    lan.close()


def without_a_list(folder):
    """Let hub 2's keys sign 2,000 over to a hall with X_h 500 that has no price list yet; then the list comes."""

    class Unpriced(Hall):
        def step(self, *facts):
            return super().step(*(fact for fact in facts if getattr(fact, "name", "") != "prices" or fact.version > 1))

    lan = Lan(folder, risk={"lease_cap": 500}, hall=Unpriced)
    lan.enroll("card-7", 100)
    for seq in range(10, 15):
        lan.step(1, FromPeer(hub_id_of(2), seq, Voucher(account_of("card-7"), 1, seq, 1, (Part("CNY", 400),))))
    lan.step(1, DocumentArrived("prices", 2, prices_document([{"price": [[PRICE, "CNY"]]}], 2)))
    return lan


def test_before_the_first_price_list_no_voucher_is_taken(tmp_path):
    lan = without_a_list(tmp_path)
    assert lan.balances("card-7")[0] == 100
    for seq in range(10, 15):
        lan.step(1, FromPeer(hub_id_of(2), seq, Voucher(account_of("card-7"), 1, seq, 1, (Part("CNY", 400),))))
    assert lan.balances("card-7")[0] == 500, "with a list it counts to X_h"
    lan.close()


def test_a_build_that_takes_them_before_it_knows_the_currency_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(Site, "currency", property(lambda site: site.tariff.prices.unit if site.tariff else "none"))
    lan = without_a_list(tmp_path)
    assert vouchers.on_trust_alone(lan.hall(1).store, hub_id_of(2)) == 0
    assert len([entry for entry in journal_of(lan.hall(1)) if isinstance(entry, VoucherTaken)]) > 1
    lan.close()


def test_an_ask_for_an_account_that_is_not_here_costs_no_entry(lan):
    before = len(journal_of(lan.hall(1)))
    effects = lan.step(1, FromPeer(hub_id_of(2), 5, PeerAsk(bytes(16), "CNY")))
    assert sent(effects) == [PeerNothing(bytes(16), 5)]
    assert len(journal_of(lan.hall(1))) == before
