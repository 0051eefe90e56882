"""What a hub may not say about money: each lie by itself, found when it is booked and again by the proof."""

import msgspec
import pytest

from back_office.store import papers
from payment_core.journal import Captured, Cause, CoinBooked, Expired, Held, InDoubt, LeaseTaken, Part, Refunded, Voided
from tests.back_office.ledger.test_booking import book
from tests.back_office.world import GUEST, OTHER_GUEST, TENANT


def parts(*amounts):
    return tuple(Part("CNY", amount, 1) for amount in amounts)


def held(hub, amount, number=1):
    hub.held(amount, authorization=number)


def ends(hub, kind, amounts, *rest, number=1, account=GUEST):
    return hub.write(lambda header: kind(1, header, parts(*amounts), account, *rest), authorization=number)


def nothing_held(hub):
    ends(hub, Captured, [100], Cause.DEVICE)


def held_twice(hub):
    held(hub, 100)
    held(hub, 100)


def captured_twice(hub):
    held(hub, 100)
    for _ in range(2):
        ends(hub, Captured, [100], Cause.DEVICE)


def captured_twice_for_nothing(hub):
    held(hub, 0)
    for _ in range(2):
        ends(hub, Captured, [0], Cause.DEVICE)


def captured_and_given_back(hub):
    held(hub, 100)
    ends(hub, Captured, [100], Cause.DEVICE)
    ends(hub, Voided, [100], Cause.DEVICE)


def more_than_held(hub):
    held(hub, 100)
    ends(hub, Captured, [100], Cause.DEVICE, parts(1))


def from_a_doubt_that_was_none(hub):
    held(hub, 100)
    ends(hub, Captured, [100], Cause.STAFF, (), True)


def expired_out_of_doubt(hub):
    held(hub, 100)
    ends(hub, InDoubt, [100], Cause.SILENCE)
    ends(hub, Expired, [100])


def refunded_twice(hub):
    held(hub, 100)
    ends(hub, Captured, [100], Cause.DEVICE)
    for _ in range(2):
        ends(hub, Refunded, [100], Cause.STAFF)


def anothers_hold(hub):
    held(hub, 100)
    ends(hub, Voided, [100], Cause.DEVICE, account=OTHER_GUEST)


def no_authorization(hub):
    hub.write(lambda header: Held(1, header, (), GUEST, bytes(16), "C", "reader-1", 1, 2, 0))


LIES = {
    nothing_held: "entry 2: Captured: nothing was put aside under its authorization",
    held_twice: "entry 3: Held: money was put aside under its authorization before",
    captured_twice: "entry 4: Captured: its authorization had ended before",
    captured_twice_for_nothing: "entry 4: Captured: its authorization had ended before",
    captured_and_given_back: "entry 4: Voided: its authorization had ended before",
    more_than_held: "entry 3: Captured: it moves 1 CNY more than is held",
    from_a_doubt_that_was_none: "entry 3: Captured: it moves 100 CNY more than is in suspense",
    expired_out_of_doubt: "entry 4: Expired: it moves 100 CNY more than is held",
    refunded_twice: "entry 5: Refunded: it moves 100 CNY more than is earned",
    anothers_hold: "entry 3: Voided: it is of another account than its hold",
    no_authorization: "entry 2: Held: it puts money aside under no authorization",
}


@pytest.fixture
def funded(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    return office


def told(office):
    with office.store.reading() as tx:
        return [alarm.text for alarm in papers.alarms(tx, TENANT) if alarm.kind == "impossible"]


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "a-batch-each"])
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_is_alarmed_freezes_the_hub_and_fails_the_proof(funded, lie, together):
    hub = funded.hub
    sealing = hub.write
    if not together:
        batches = []

        def seal_first(make, **more):
            batches.append(hub.batch())
            return sealing(make, **more)

        hub.write = seal_first
        lie(hub)
        for data in batches:
            funded.take(data)
    else:
        lie(hub)
    assert funded.frozen() == ""
    funded.take(hub.batch())
    assert funded.frozen() in {"impossible", "overclaim"}
    (text,) = told(funded)
    assert text.startswith(LIES[lie])
    proof = funded.prove()
    assert not proof.ok
    said = LIES[lie].partition(": ")[2].replace(": ", " is impossible: ", 1)
    assert any(said in fault for fault in proof.faults), proof.faults


def test_every_honest_end_is_no_finding(funded):
    hub = funded.hub
    plays = [(100, [100], []), (100, [60], [40]), (0, [0], []), (90, [], [90])]
    for number, (amount, captured, back) in enumerate(plays, start=1):
        held(hub, amount, number)
        ends(hub, Captured, captured, Cause.DEVICE, parts(*back), number=number)
    for number, kind in enumerate((Captured, Voided), start=10):
        held(hub, 50, number)
        ends(hub, InDoubt, [50], Cause.SILENCE, number=number)
        rest = ((), True) if kind is Captured else (True,)
        ends(hub, kind, [50], Cause.STAFF, *rest, number=number)
    held(hub, 30, 20)
    ends(hub, Expired, [30], number=20)
    ends(hub, Refunded, [100], Cause.STAFF, number=1)
    funded.take(hub.batch())
    assert (funded.frozen(), told(funded)) == ("", [])
    assert funded.prove().ok


@pytest.mark.parametrize("kind", ["part", "coin", "lease"])
def test_an_amount_below_nothing_is_a_finding_where_a_decoder_let_it_through(funded, kind):
    hub = funded.hub
    entry = {
        "part": lambda: msgspec.structs.replace(hub.held(100), parts=parts(-100)),
        "coin": lambda: hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", -100)),
        "lease": lambda: hub.write(lambda header: LeaseTaken(1, header, GUEST, "CNY", 1, 0, -1)),
    }[kind]()
    assert any("it names an amount below nothing" in finding.text for finding in book(funded, [entry]).findings)


def test_more_from_a_lanes_coins_than_fell_is_a_finding_and_no_proof_passes_over_it(funded):
    hub = funded.hub
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    hub.write(
        lambda header: Held(1, header, (Part("CNY", 101),), None, None, None, "acceptor-1", 1, 2, 0), authorization=1
    )
    funded.take(hub.batch())
    assert (funded.frozen(), told(funded)) == ("impossible", ["account coin_credit CNY stands 1 on the wrong side"])
    assert "balances account coin_credit racer-2 CNY: it is impossible: 1 on the wrong side" in funded.prove().faults
