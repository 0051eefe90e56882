"""Lots: what runs out first pays first, a refund goes back to where it came from, a gift goes with its payment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.journal import LotKind, Part
from payment_core.lots import GiftGone, LotShare, forfeited, is_expired, spend_order, split_refund

A, B, C, D = (bytes([n]) * 16 for n in range(4))
PAID = LotShare(A, LotKind.PAID, 1_000, opened_ms=10)
GIFT = LotShare(B, LotKind.GIFT, 200, opened_ms=20)
SOON = LotShare(C, LotKind.PAID, 300, opened_ms=30, expires_ms=5_000)
WON = LotShare(D, LotKind.WON, 50, opened_ms=5)

shares = st.lists(
    st.builds(
        LotShare, st.binary(min_size=16, max_size=16), st.sampled_from(LotKind), st.integers(0, 500),
        st.integers(0, 9), st.none() | st.integers(0, 99),
    ),
    max_size=8,
)  # fmt: skip
parts = st.lists(
    st.builds(Part, st.just("CNY"), st.integers(1, 500), st.integers(1, 2), st.sampled_from([A, B, C])),
    max_size=4, unique_by=lambda part: (part.lease_epoch, part.lot),
)  # fmt: skip


@pytest.mark.parametrize(
    ("order", "expected"),
    [("gift_first", [GIFT, SOON, WON, PAID]), ("paid_first", [SOON, WON, PAID, GIFT])],
)
def test_gifts_then_what_expires_soonest_then_what_is_oldest(order, expected):
    assert spend_order([PAID, GIFT, SOON, WON], order, now_ms=4_999) == expected
    assert spend_order([WON, SOON, GIFT, PAID], order, now_ms=4_999) == expected


def test_what_ran_out_pays_nothing_and_while_nobody_knows_the_time_nothing_ran_out():
    assert SOON not in spend_order([PAID, SOON], "gift_first", now_ms=5_000)
    assert SOON in spend_order([PAID, SOON], "gift_first", now_ms=None)
    assert not is_expired(None, now_ms=2**60)


@given(shares, st.sampled_from(["gift_first", "paid_first"]), st.none() | st.integers(0, 99))
def test_the_order_is_one_whatever_order_it_is_asked_in(of, order, now_ms):
    ranked = spend_order(of, order, now_ms=now_ms)
    assert ranked == spend_order(of[::-1], order, now_ms=now_ms) or len({share.lot for share in of}) < len(of)
    assert all(share.amount > 0 for share in ranked)


def test_a_part_goes_back_to_what_paid_last():
    captured = (Part("CNY", 200, 1, B), Part("CNY", 300, 1, A), Part("bonus", 50, 1, C))
    assert split_refund(captured, (), 100, unit="CNY") == (Part("CNY", 100, 1, A),)
    once = (Part("CNY", 100, 1, A),)
    assert split_refund(captured, once, 250, unit="CNY") == (Part("CNY", 200, 1, A), Part("CNY", 50, 1, B))
    assert split_refund(captured, once, 401, unit="CNY") is None
    assert split_refund(captured, once, None, unit="CNY") == (
        Part("CNY", 200, 1, B), Part("CNY", 200, 1, A), Part("bonus", 50, 1, C),
    )  # fmt: skip
    assert split_refund(captured, captured, None, unit="CNY") == ()
    assert split_refund(captured, (), 0, unit="CNY") is None


@given(parts, st.lists(st.integers(1, 400), max_size=6))
def test_all_refunds_together_never_pass_what_was_captured(captured, wishes):
    refunded: list[Part] = []
    for wish in wishes:
        back = split_refund(captured, refunded, wish, unit="CNY")
        if back is not None:
            assert sum(part.amount for part in back) == wish
            refunded += back
    for part in captured:
        same = [other.amount for other in refunded if (other.lease_epoch, other.lot) == (part.lease_epoch, part.lot)]
        assert sum(same) <= part.amount
    rest = split_refund(captured, refunded, None, unit="CNY")
    assert sum(part.amount for part in (*refunded, *rest)) == sum(part.amount for part in captured)


@pytest.mark.parametrize(
    ("rule", "before", "paid_back", "left", "expected"),
    [
        ("keep", 0, 10_000, 500, (0, 0)), ("forfeit", 0, 1, 1_500, (1_500, 500)),
        ("pro_rata", 0, 5_000, 2_000, (1_000, 0)),
        ("pro_rata", 0, 3_333, 2_000, (666, 0)), ("pro_rata", 3_333, 6_667, 1_334, (1_334, 0)),
        ("pro_rata", 0, 10_000, 700, (700, 1_300)), ("pro_rata", 0, 5_000, 700, (700, 300)),
        ("pro_rata", 5_000, 5_000, 0, (0, 1_000)),
    ],
)  # fmt: skip
def test_a_gift_goes_by_the_rule_and_what_was_spent_of_it_is_kept_of_the_payment(
    rule, before, paid_back, left, expected
):
    gone = forfeited(
        rule, before=before, paid_back=paid_back, paid=10_000, gift=2_000, left=left, spent=2_000 - left
    )  # fmt: skip
    assert (gone.left, gone.spent) == expected


def test_what_ran_out_of_a_gift_is_not_taken_from_the_payment():
    assert forfeited("pro_rata", before=0, paid_back=9, paid=9, gift=200, left=50, spent=30) == GiftGone(50, 30)


@given(st.integers(1, 5_000), st.integers(0, 5_000), st.lists(st.integers(1, 900), max_size=6))
def test_in_parts_or_at_once_the_same_share_of_a_gift_goes(paid, gift, steps):
    before = total = 0
    for step in steps:
        if before + step > paid:
            break
        total += forfeited("pro_rata", before=before, paid_back=step, paid=paid, gift=gift, left=gift, spent=0).left
        before += step
    assert total == gift * before // paid


def test_a_gift_without_a_payment_is_not_forfeited_pro_rata():
    gone = forfeited("pro_rata", before=0, paid_back=0, paid=0, gift=100, left=100, spent=0)
    assert gone == GiftGone(0, 0)
