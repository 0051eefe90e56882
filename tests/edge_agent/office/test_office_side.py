"""What the office says: leases, lists, documents, receipts, batches; and cards that prove themselves."""

import hashlib

import msgspec
import pytest

from edge_agent.ledger import outbox
from edge_agent.ledger.entries import check_chain, read_tail
from edge_agent.ledger.store import LedgerError
from edge_agent.messages import (
    AskFullList,
    BatchSealed,
    BatchStored,
    DocumentArrived,
    Frozen,
    ListArrived,
    OfficeLink,
    ReceiptTaken,
    Reopened,
    Show,
)
from edge_agent.tap.token_proof import _sdm_mac
from payment_core.credential import ListRow
from payment_core.events import CredentialPresented
from payment_core.journal import LeaseTaken
from tests.support.hall import (
    PEPPER,
    Hall,
    account_of,
    commands,
    credential_of,
    logged,
    prices_document,
    the_view,
    uid_of,
    views,
)
from tests.support.ledger_truth import entries, faults_of

KEY = bytes(range(16))


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    yield hall
    hall.store.close()


def sealed(number: int, first: int, count: int) -> BatchSealed:
    return BatchSealed(number, first, count, hashlib.sha256(bytes([number])).digest(), b"sealed %d" % number)


def test_a_lease_total_only_rises(hall):
    for granted in (500, 500, 300, 800):
        hall.step(hall.lease("card-7", granted))
    taken = [entry for entry in entries(hall.store) if isinstance(entry, LeaseTaken)]
    assert [(entry.granted, entry.added) for entry in taken] == [(500, 500), (800, 300)]
    assert hall.balance("card-7") == 800
    assert faults_of(hall.store) == []


def test_a_list_that_does_not_fit_is_asked_for_in_full(hall):
    row = ListRow(credential_of("card-7"), account_of("card-7"), "C", "active", 1)
    assert hall.step(ListArrived(5, full=False, base_version=4, rows=(row,))) == [AskFullList(0)]
    assert logged(hall.step(ListArrived(5, full=True, base_version=0, rows=(row,)))) == ["list.taken"]
    assert hall.step(ListArrived(5, full=True, base_version=0, rows=())) == []
    assert hall.step(ListArrived(4, full=True, base_version=0, rows=())) == []
    hall.step(hall.lease("card-7", 500))
    assert len(commands(hall.step(hall.tap("card-7")))) == 1


def test_a_full_list_forgets_who_is_not_on_it_and_a_differential_one_does_not(hall):
    hall.enroll("card-7", 1_000)
    hall.enroll("card-8", 1_000)
    assert the_view(hall.step(hall.tap("card-7"))).state == "held"
    hall.step(ListArrived(9, full=True, base_version=0, rows=()))
    assert the_view(hall.wait(1_000, hall.tap("card-8", 2))).reason == "unknown_card"


def test_an_older_document_changes_nothing_and_a_newer_one_does(hall):
    hall.enroll("card-7", 1_000)
    assert hall.step(DocumentArrived("prices", 1, prices_document([{"price": [[1, "CNY"]]}]))) == []
    effects = hall.step(DocumentArrived("prices", 2, prices_document([{"price": [[300, "CNY"]]}], 2)))
    assert [view.price for view in views(effects)] == [300, 300]
    hall.pass_ms(30_001)  # until then what was shown is honoured
    assert the_view(hall.step(hall.tap("card-7"))).price == 300


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prices", b"not json"),
        ("prices", b'{"version":2,"unit":"CNY","rules":[{"price":[]}]}'),
        ("prices", b'{"version":2,"unit":"CNY","rules":[{"price":[[-5,"CNY"]]}]}'),
        ("prices", b'{"version":2,"unit":"CNY","rules":[{"price":[[1.5,"CNY"]]}]}'),
        ("prices", b'{"version":2,"unit":"CNY","rules":[{"price":[[5,"CNY"]],"credits":0}]}'),
        ("devices", b'{"version":2,"lanes":[{"id":"lane-1"}]}'),
        ("risk", b'{"version":2,"unknown":1}'),
    ],
)
def test_a_document_that_cannot_be_read_leaves_the_former_in_force(hall, name, content):
    hall.enroll("card-7", 1_000)
    assert logged(hall.step(DocumentArrived(name, 2, content))) == ["document.refused"]
    hall.restart()
    hall.step(*hall.arrivals())
    assert the_view(hall.step(hall.tap("card-7"))).price == 200


def test_a_document_of_an_unknown_name_is_kept_for_a_later_release(hall):
    assert logged(hall.step(DocumentArrived("rooms", 1, b"{}"))) == ["document.taken"]
    hall.restart()
    hall.step()


def test_a_kept_document_that_this_release_cannot_read_is_told_with_its_file_and_a_remedy(hall):
    newer = b'{"version":9,"of_next_year":1}'
    hall.store.execute("UPDATE documents SET version = 9, content = ? WHERE name = 'prices'", (newer,))
    with pytest.raises(LedgerError, match=r"/\S+: document prices: .*of_next_year.* \(version 9\)\. Start the release"):
        hall.restart()


def test_documents_hold_over_a_restart(hall):
    hall.enroll("card-7", 1_000)
    hall.restart()
    hall.step(*hall.arrivals())
    assert the_view(hall.step(hall.tap("card-7"))).state == "held"


def test_the_uplink_is_shown_and_decides_nothing(hall):
    effects = hall.step(OfficeLink(up=True))
    shown = [effect for effect in effects if isinstance(effect, Show)]
    assert [(effect.lane, effect.view.state, effect.view.offline) for effect in shown] == [
        ("lane-1", "idle", False),
        ("lane-2", "idle", False),
    ]
    assert all(view.offline for view in views(hall.step(OfficeLink(up=False))))


def test_a_batch_is_stored_before_it_may_be_published_and_once(hall):
    hall.enroll("card-7", 1_000)
    assert hall.step(sealed(1, 1, 1)) == [BatchStored(1)]
    assert hall.step(sealed(1, 1, 1)) == [BatchStored(1)]
    assert [batch.sealed for batch in outbox.waiting_batches(hall.store)] == [b"sealed 1"]


def test_only_a_receipt_that_fits_moves_the_cursor(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    hall.step(sealed(1, 1, 2), sealed(2, 3, 2))
    assert logged(hall.step(ReceiptTaken(1, 3))) == ["receipt.ignored"]
    assert logged(hall.step(ReceiptTaken(7, 2))) == ["receipt.ignored"]
    assert outbox.read_cursor(hall.store).seq == 0
    assert logged(hall.step(ReceiptTaken(2, 4))) == []
    cursor = outbox.read_cursor(hall.store)
    assert (cursor.batch_seq, cursor.seq, cursor.hash) == (2, 4, sealed(2, 3, 2).hash)
    assert outbox.waiting_batches(hall.store) == []
    assert logged(hall.step(ReceiptTaken(1, 2))) == ["receipt.ignored"]


def test_entries_are_pruned_behind_the_receipt_only_and_the_chain_still_holds(hall):
    hall.enroll("card-7", 1_000)
    command = commands(hall.step(hall.tap("card-7")))[0]
    hall.step(hall.delivered(command))
    hall.step(sealed(1, 1, 3), ReceiptTaken(1, 3))
    hall.store.execute("BEGIN IMMEDIATE")
    assert outbox.prune(hall.store, through_seq=5) == 3
    hall.store.commit()
    report = check_chain(hall.store)
    assert (report.ok, report.entries) == (True, 2)
    assert outbox.prune(hall.store, through_seq=5) == 0


def test_the_hold_of_an_open_authorization_is_never_pruned(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    hall.step(sealed(1, 1, 4), ReceiptTaken(1, 4))
    hall.store.execute("BEGIN IMMEDIATE")
    assert outbox.prune(hall.store, through_seq=4) == 2
    hall.store.commit()
    hall.restart()
    assert logged(hall.step()) == ["till.reconciling"]


def test_a_floor_serves_class_a_and_b_without_a_lease_and_a_receipt_makes_room_for_others(tmp_path):
    risk = {"floor_per_credential": 200, "floor_per_hub": 200}
    hall = Hall(tmp_path / "l.db", risk=risk)
    hall.step(hall.member("card-7", class_="B"), hall.member("card-8", class_="C"), hall.member("card-9", class_="B"))
    assert the_view(hall.step(hall.tap("card-7", 1))).state == "fetching"  # his own money goes before the floor
    assert len(commands(hall.wait(300))) == 1
    assert the_view(hall.step(hall.tap("card-8", 2))).reason == "offline_limit"
    hall.wait(1_000, hall.tap("card-7", 1))
    assert [view.reason for view in views(hall.effects)] == ["offline_limit"]
    hall.wait(1_000, hall.tap("card-9", 2))
    assert [view.reason for view in views(hall.effects)] == ["offline_limit"]
    hall.step(sealed(1, 1, 2), ReceiptTaken(1, 2))
    hall.wait(1_000, hall.tap("card-7", 1))
    assert [view.reason for view in views(hall.wait(300))] == ["offline_limit"], "it owes what it took"
    assert len(commands(hall.wait(1_000, hall.tap("card-9", 2)))) == 1
    assert faults_of(hall.store) == []
    hall.store.close()


def test_velocity_and_the_days_limit_count_over_taps(tmp_path):
    risk = {
        "velocity": {"window_ms": 60_000, "count": 2, "amount": 10_000},
        "classes": [{"class": "C", "per_day": 800}],
    }
    hall = Hall(tmp_path / "l.db", risk=risk)
    hall.enroll("card-7", 5_000)
    seen = [the_view(hall.wait(1_000, hall.tap("card-7"))) for _ in range(3)]
    assert [(view.state, view.reason) for view in seen] == [("held", ""), ("held", ""), ("declined", "too_fast")]
    seen = []
    for _ in range(3):
        hall.wait(61_000)
        seen.append(the_view(hall.step(hall.tap("card-7"))))
    assert [view.reason for view in seen if view.state == "declined"] == ["over_day_limit"]
    hall.business_date += 1
    hall.wait(61_000)
    assert the_view(hall.step(hall.tap("card-7"))).state == "held"
    hall.store.close()


def sun_url(card: str, counter: int, key: bytes = KEY) -> str:
    mac = _sdm_mac(key, bytes.fromhex(uid_of(card)), counter).hex().upper()
    return f"https://card.example/t?uid={uid_of(card)}&ctr={counter:06X}&mac={mac}"


def sun_tap(hall: Hall, card: str, url: str):
    return hall.event("reader-1", CredentialPresented("ntag424", uid_of(card), "A", url))


def test_a_card_that_proves_itself_pays_and_its_recorded_message_does_not(hall):
    hall.step(hall.member("card-1", class_="A", media="ntag424", token_key=KEY), hall.lease("card-1", 1_000))
    assert len(commands(hall.step(sun_tap(hall, "card-1", sun_url("card-1", 5))))) == 1
    for url in (sun_url("card-1", 5), sun_url("card-1", 4), sun_url("card-1", 9, bytes(16)), ""):
        view = the_view(hall.wait(1_000, sun_tap(hall, "card-1", url)))
        assert (view.state, view.reason) == ("declined", "card_not_proven")
    hall.restart()
    hall.step(*hall.arrivals())
    assert the_view(hall.step(sun_tap(hall, "card-1", sun_url("card-1", 5)))).reason == "card_not_proven"
    assert len(commands(hall.wait(1_000, sun_tap(hall, "card-1", sun_url("card-1", 6))))) == 1


def test_no_raw_id_reaches_the_ledger(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    hall.store.execute("VACUUM")
    everything = msgspec.json.encode(list(entries(hall.store))) + hall.path.read_bytes()
    wal = hall.path.with_name(hall.path.name + "-wal")
    everything += wal.read_bytes()
    assert bytes.fromhex(uid_of("card-7")) not in everything
    assert uid_of("card-7").encode() not in everything
    assert PEPPER not in everything


def test_a_cap_on_all_approvals_since_the_last_receipt_holds_with_leases_too(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"hub_count": 2, "repeat_after_ms": 0})
    hall.enroll("card-7", 1_000)
    for _ in range(2):
        hall.wait(1_000)
        assert the_view(hall.step(hall.tap("card-7"))).state == "held"
    hall.wait(1_000)
    assert the_view(hall.step(hall.tap("card-7"))).reason == "hub_limit"
    seq = read_tail(hall.store).seq
    hall.step(sealed(1, 1, seq), ReceiptTaken(1, seq))
    hall.wait(1_000)
    assert the_view(hall.step(hall.tap("card-7"))).state == "held"


def test_what_is_acknowledged_and_a_month_old_is_let_go_with_the_next_receipt(hall):
    hall.enroll("card-7", 1_000)
    command = commands(hall.step(hall.tap("card-7")))[0]
    hall.step(hall.delivered(command))
    hall.step(sealed(1, 1, 5), ReceiptTaken(1, 5, (), hall.wall_ms))
    assert check_chain(hall.store).entries == 5
    hall.wait(31 * 24 * 3_600_000)
    hall.step(hall.tap("card-7"))
    newest = read_tail(hall.store).seq
    hall.step(sealed(2, 6, newest - 5), ReceiptTaken(2, newest, (), hall.wall_ms))
    report = check_chain(hall.store)
    assert (report.ok, report.entries) == (True, newest - 5)
    assert logged(hall.step(hall.delivered(command))) == ["credit.unknown_command"]


def test_a_freeze_is_lifted_by_the_word_that_names_it_also_after_a_restart(hall):
    hall.enroll("card-7", 1_000)
    hall.step(Frozen("overclaim"))
    for wrong in (Reopened(2, "overclaim"), Reopened(1, "impossible"), Reopened(1, "")):
        assert logged(hall.step(wrong)) == ["reopen.ignored"]
        hall.pass_ms(5_000)
        assert views(hall.step(hall.tap("card-7")))[-1].reason == "hub_closed"
    hall.restart()
    hall.wait(5_000, *hall.arrivals())
    assert views(hall.step(hall.tap("card-7")))[-1].reason == "hub_closed"
    assert "till.reopened" in logged(hall.step(Reopened(1, "overclaim")))
    hall.pass_ms(5_000)
    assert commands(hall.step(hall.tap("card-7")))
    hall.restart()
    hall.wait(5_000, *hall.arrivals())
    assert not {"till.reopened", "reopen.ignored"} & {*logged(hall.step(Reopened(1, "overclaim")))}
    assert commands(hall.step(hall.tap("card-7")))


@pytest.mark.parametrize("reason", ["fork", "rolled_back", "closed"])
def test_another_journal_and_an_end_are_lifted_by_nobody(hall, reason):
    hall.step(Frozen(reason))
    assert logged(hall.step(Reopened(1, reason))) == ["reopen.ignored"]
    hall.enroll("card-7", 1_000)
    assert views(hall.step(hall.tap("card-7")))[-1].reason == "hub_closed"
