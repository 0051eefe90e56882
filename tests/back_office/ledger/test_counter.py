"""The counter's acts: typed, once per id, and in step with lots, gifts and what a guest owes."""

import msgspec
import pytest

from back_office.ledger import counter, going_back
from back_office.ledger.counter import (
    Done,
    PayOut,
    Refused,
    Reversal,
    expire_lots,
    move_cash,
    pay_out,
    reverse,
    write_off,
)
from back_office.ledger.terms import DAY_MS, GiftStep, TopUpTerms, gifts_for, keep_terms
from back_office.store import acts, set_back
from payment_core.accounts import Kind
from payment_core.journal import CardSold
from tests.back_office.world import GUEST, HUB, TENANT, WALL_MS

BONUS = GiftStep("CNY", 1_000, "bonus", 200, expires_days=30)


def do(office, act, *args, **more):
    with office.store.writing() as tx:
        return act(office.desk(tx), *args, **more)


def set_terms(office, **changes):
    with office.store.writing() as tx:
        return keep_terms(tx, TENANT, TopUpTerms(steps=(BONUS,), **changes), now_ms=office.now_ms)


def refund(amount=None, number=1):
    return PayOut(refund_id=bytes([number]) * 16, channel="counter", payment_id="p1", amount=amount)


def reversal(number=1, amount=None):
    return Reversal(reversal_id=bytes([number]) * 16, channel="counter", payment_id="p1", amount=amount)


def test_the_highest_step_that_a_payment_reaches_counts():
    higher = GiftStep("CNY", 5_000, "bonus", 1_500)
    tickets = GiftStep("CNY", 100, "ticket", 5)
    terms = TopUpTerms(steps=(BONUS, higher, tickets))
    assert gifts_for(terms, "CNY", 999) == [tickets]
    assert gifts_for(terms, "CNY", 4_999) == [BONUS, tickets]
    assert gifts_for(terms, "CNY", 5_000) == [higher, tickets]
    assert gifts_for(terms, "bonus", 5_000) == []


def test_a_top_up_brings_its_gifts_as_lots_of_their_own(office):
    assert set_terms(office).version == 1
    assert set_terms(office).version == 1
    office.top_up(1_000)
    office.top_up(1_000)
    assert (office.purse(), office.purse(unit="bonus")) == (1_000, 200)
    assert office.balance(Kind.PROMOTION_EXPENSE, "bonus") == 200
    assert office.lease() == 1_200
    assert office.prove().faults == []


@pytest.mark.parametrize(("rule", "left"), [("pro_rata", 100), ("forfeit", 0), ("keep", 200)])
def test_a_refund_takes_the_part_of_the_gift_that_the_terms_say(office, rule, left):
    set_terms(office, gift_rule=rule)
    office.top_up(1_000)
    done = do(office, pay_out, refund(500))
    assert isinstance(done, Done)
    assert do(office, pay_out, refund(500)) == Done(done.office_seq, again=True)
    assert (office.purse(), office.purse(unit="bonus")) == (500, left)
    assert office.balance(Kind.PSP_CLEARING) == 500
    assert office.prove().faults == []


def play_the_gift(office, amount):
    """Spend `amount` of the gift at the hub, and bring everything that was paid back into the purse."""
    office.lease()
    office.worker.on_message(*office.hub.hello())
    office.hub.held(amount, unit="bonus", authorization=1)
    office.hub.captured(amount, unit="bonus", authorization=1)
    office.hub.returned(1_000)
    if amount < 200:
        office.hub.returned(200 - amount, unit="bonus")
    office.take(office.hub.batch())


@pytest.mark.parametrize(
    ("rule", "amount", "kept"), [("pro_rata", 800, 200), ("forfeit", 800, 200), ("keep", 1_000, 0)]
)
def test_a_gift_that_was_played_is_kept_of_the_payment_that_goes_back(office, rule, amount, kept):
    set_terms(office, gift_rule=rule)
    office.top_up(1_000)
    play_the_gift(office, 200)
    done = do(office, pay_out, refund())
    assert (done.amount, done.kept, office.purse()) == (amount, kept, 0)
    assert office.balance(Kind.PSP_CLEARING) == 1_000 - amount
    assert office.balance(Kind.PROMOTION_EXPENSE) == -kept
    assert office.prove().faults == []


@pytest.mark.parametrize("rule", ["pro_rata", "forfeit"])
def test_a_gift_is_kept_once_in_whatever_parts_a_payment_goes_back(office, rule):
    set_terms(office, gift_rule=rule)
    office.top_up(1_000)
    play_the_gift(office, 120)
    done = [do(office, pay_out, refund(amount, n)) for n, amount in enumerate((333, 333, None), start=1)]
    assert (sum(one.amount for one in done), sum(one.kept for one in done)) == (880, 120)
    assert (office.purse(), office.purse(unit="bonus")) == (0, 0)
    assert office.prove().faults == []


def test_a_gift_at_a_hub_is_recalled_before_its_payment_goes_back(office):
    set_terms(office)
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    office.hub.returned(1_000)
    office.take(office.hub.batch())
    outcome = do(office, pay_out, refund())
    assert outcome == Refused("of its gifts 200 bonus lie at hubs or are on their way: they are recalled first")
    assert office.purse() == 1_000


def test_a_refund_with_other_content_under_its_id_is_refused_and_alarmed(office):
    office.top_up(1_000)
    do(office, pay_out, refund(500))
    outcome = do(office, pay_out, refund(501))
    assert isinstance(outcome, Refused)
    assert "with another content" in outcome.why
    assert (office.purse(), office.alarms()) == (500, [("act_conflict", TENANT)])


def test_only_what_is_in_the_purse_goes_back(office):
    office.top_up(1_000)
    why = "1001 CNY cannot go back: 1000 of this payment are in the purse"
    assert do(office, pay_out, refund(1_001)) == Refused(why)
    office.lease()
    where = (
        "1000 CNY lie at hub hall: it comes back by itself when the guest has not played there for half an hour, "
        "or at closing; ask again then"
    )
    assert do(office, pay_out, refund()) == Refused("nothing of this payment is in the purse: 0 CNY", where)
    assert do(office, pay_out, refund(10)).instead == where
    unknown = msgspec.structs.replace(refund(), payment_id="p9")
    assert do(office, pay_out, unknown) == Refused("there is no payment p9 of counter")


@pytest.mark.parametrize(
    ("rule", "amounts", "left"),
    [
        ("pro_rata", (1,), 200), ("pro_rata", (250,), 150), ("pro_rata", (250, 250, 500), 0), ("forfeit", (1,), 0),
        ("keep", (None,), 200),
    ],
)  # fmt: skip
def test_a_part_that_is_reversed_takes_of_the_gift_what_the_rule_says(office, rule, amounts, left):
    set_terms(office, gift_rule=rule)
    office.top_up(1_000)
    for number, amount in enumerate(amounts):
        assert do(office, reverse, reversal(number, amount)).owed == 0
    assert office.purse(unit="bonus") == left
    assert office.prove().faults == []


def test_a_top_up_reversed_after_it_was_spent_is_owed_and_later_top_ups_settle_it(office):
    set_terms(office)
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    office.hub.held(700, authorization=1)
    office.hub.captured(700, authorization=1)
    office.hub.returned(300)
    office.take(office.hub.batch())
    done = do(office, reverse, reversal())
    assert (done.amount, done.owed) == (1_000, 700)
    assert do(office, reverse, reversal()).again
    assert isinstance(do(office, reverse, reversal(2)), Refused)  # all of it is taken back
    assert (office.purse(), office.balance(Kind.GUEST_RECEIVABLE)) == (0, 700)
    assert office.prove().faults == []
    office.top_up(500, payment="p2")
    assert (office.purse(), office.balance(Kind.GUEST_RECEIVABLE)) == (0, 200)
    office.top_up(500, payment="p3")
    assert (office.purse(), office.balance(Kind.GUEST_RECEIVABLE)) == (300, 0)
    assert office.prove().faults == []


def test_a_payment_is_taken_back_in_parts_up_to_all_of_it(office):
    office.top_up(1_000)
    assert do(office, reverse, reversal(1, 300)).amount == 300
    assert do(office, pay_out, refund(200)).amount == 200
    why = "501 CNY cannot be taken back: 500 of a payment of 1000 are left"
    assert do(office, reverse, reversal(2, 501)) == Refused(why)
    assert do(office, reverse, reversal(2)).amount == 500
    assert isinstance(do(office, reverse, reversal(3, 1)), Refused)
    assert (office.purse(), office.balance(Kind.GUEST_RECEIVABLE), office.balance(Kind.PSP_CLEARING)) == (0, 0, 0)
    assert office.prove().faults == []


def test_money_that_comes_back_from_a_hub_settles_a_debt_before_it_is_leased_again(office):
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    assert do(office, reverse, reversal()).owed == 1_000
    office.hub.returned(400)
    office.take(office.hub.batch())
    assert office.purse() == 400
    assert office.lease() == 1_000
    assert (office.purse(), office.left(), office.balance(Kind.GUEST_RECEIVABLE)) == (0, 600, 600)
    assert office.prove().faults == []


def test_lots_that_ran_out_end(office):
    set_terms(office, expires_days=60)
    office.top_up(1_000)
    assert do(office, expire_lots) == Done(0, again=True)
    office.now_ms = WALL_MS + 30 * DAY_MS
    assert do(office, expire_lots).amount == 1
    assert (office.purse(), office.purse(unit="bonus")) == (1_000, 0)
    office.now_ms = WALL_MS + 60 * DAY_MS
    assert office.lease() == 0
    assert do(office, expire_lots).amount == 1
    assert (office.balance(Kind.UNCLAIMED), office.balance(Kind.PROMOTION_EXPENSE, "bonus")) == (-1_000, 0)
    assert office.prove().faults == []


def test_an_over_claim_is_written_off_up_to_what_was_claimed(office):
    office.top_up(100)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    office.hub.held(150, authorization=1)
    office.take(office.hub.batch())
    wish = {"act_id": bytes(16), "account_id": GUEST, "unit": "CNY", "hub": HUB, "by": "ann"}
    assert isinstance(do(office, write_off, **wish, amount=51), Refused)
    assert isinstance(do(office, write_off, **wish, amount=50), Done)
    assert do(office, write_off, **wish, amount=50).again
    assert (office.balance(Kind.OVERCLAIM), office.balance(Kind.WRITE_OFF)) == (0, 50)
    assert office.prove().faults == []


def test_cash_that_moves_names_what_is_missing(office):
    wish = {"act_id": bytes(16), "from_drawer": "front", "to_drawer": "safe", "unit": "CNY", "by": "ann"}
    office.hub.write(lambda header: CardSold(1, header, b"c" * 16, GUEST, "C", "ntag213", "CNY", 600, "front", "ann"))
    office.take(office.hub.batch())
    assert isinstance(do(office, move_cash, **wish, booked=500, counted=490), Done)
    assert do(office, move_cash, **wish, booked=500, counted=490).again
    assert isinstance(do(office, move_cash, **wish, booked=500, counted=500), Refused)
    assert (office.balance(Kind.SAFE), office.balance(Kind.DRAWER), office.balance(Kind.OVER_SHORT)) == (490, 100, 10)
    with office.store.reading() as tx:
        (line,) = acts.audit_lines(tx, TENANT)
    assert (line.who, line.what, line.note) == ("ann", "cash of ¥5.00 moved from front to safe", "¥4.90 arrived")


def test_no_more_cash_moves_than_there_is(office):
    wish = {"act_id": bytes(16), "unit": "CNY", "by": "ann", "booked": 1, "counted": 1}
    for from_drawer, to_drawer in (("front", "safe"), ("safe", "front")):
        refused = do(office, move_cash, **wish, from_drawer=from_drawer, to_drawer=to_drawer)
        assert refused == Refused(f"1 CNY cannot leave {from_drawer}: 0 are there by the books")


def taken_back_behind_a_refund(office):
    """Pay 500 back, of which half is kept for a gift that was played; then the channel takes what it never sent."""
    set_terms(office)
    office.top_up(1_000)
    play_the_gift(office, 200)
    done = do(office, pay_out, refund(400))
    rest = 1_000 - done.amount
    return done.kept, do(office, reverse, reversal(1, rest)), do(office, reverse, reversal(2, 1))


def test_a_channel_takes_back_what_was_kept_for_gifts_too(office):
    kept, taken, more = taken_back_behind_a_refund(office)
    assert (kept, taken.amount, taken.owed) == (80, 680, 80)
    assert isinstance(more, Refused)
    assert (office.purse(), office.balance(Kind.PSP_CLEARING), office.balance(Kind.GUEST_RECEIVABLE)) == (0, 0, 80)
    assert office.prove().faults == []


def test_a_build_that_refuses_what_the_channel_took_is_caught(office, monkeypatch):
    honest = counter.went_back
    monkeypatch.setattr(counter, "went_back", lambda *asked: msgspec.structs.replace(honest(*asked), kept=0))
    assert isinstance(taken_back_behind_a_refund(office)[1], Refused)


def charged_back_while_leased(office, **terms):
    """Pay, have it all leased, and take the payment back; then everything comes home. Return what is leased again."""
    set_terms(office, **terms)
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    assert do(office, reverse, reversal()).owed == 1_000
    office.hub.returned(1_000)
    office.hub.returned(150, unit="bonus")
    office.take(office.hub.batch())
    return office.lease() and office.left(unit="bonus")


@pytest.mark.parametrize(("rule", "left"), [("pro_rata", 50), ("forfeit", 50), ("keep", 200)])
def test_the_gift_of_a_payment_that_was_taken_back_goes_when_it_comes_home(office, rule, left):
    assert charged_back_while_leased(office, gift_rule=rule) == left
    assert (office.purse(), office.purse(unit="bonus")) == (0, 0)
    assert office.balance(Kind.GUEST_RECEIVABLE) == 0
    office.hub.returned(50, unit="bonus")
    office.take(office.hub.batch())
    do(office, lambda desk: desk.settle_debt(GUEST, "CNY"))
    assert office.purse(unit="bonus") == (50 if rule == "keep" else 0)
    assert office.prove().faults == []


def test_no_more_of_it_goes_than_the_rule_says(office):
    set_terms(office)
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    do(office, reverse, reversal(1, 250))
    do(office, reverse, reversal(2, 250))
    office.hub.returned(200, unit="bonus")
    office.take(office.hub.batch())
    do(office, lambda desk: desk.settle_debt(GUEST, "CNY"))
    assert office.purse(unit="bonus") == 100
    assert office.prove().faults == []


def test_while_restored_books_learn_it_is_due_too(office):
    set_terms(office)
    office.top_up(1_000)
    with office.store.writing() as tx:
        set_back.note(tx, TENANT, HUB, declared=True, now_ms=1)
    do(office, reverse, reversal())
    assert office.purse(unit="bonus") == 200
    with office.store.writing() as tx:
        set_back.forget(tx, TENANT, HUB)
    assert office.lease() == 0
    assert (office.purse(unit="bonus"), office.prove().faults) == (0, [])


def test_a_build_that_forgets_gifts_elsewhere_is_caught(office, monkeypatch):
    monkeypatch.setattr(going_back, "note_due", lambda *_, **__: None)
    assert charged_back_while_leased(office) == 200
