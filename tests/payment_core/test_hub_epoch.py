"""The epoch's table is total, ends, and never goes back."""

from itertools import product

from payment_core.hub_epoch import EPOCH_MOVES, EPOCH_TABLE, EpochState, EpochStep


def test_every_state_and_step_is_in_the_table():
    assert set(EPOCH_TABLE) == set(product(EpochState, EpochStep))


def test_an_epoch_only_goes_forward_and_ends_once():
    order = list(EpochState)
    assert all(order.index(new) == order.index(old) + 1 for old, new in EPOCH_MOVES)
    assert len(EPOCH_MOVES) == len(order) - 1
