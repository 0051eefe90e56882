"""Totals only rise."""

from cloud_sync.protocol.leases import LeaseKey, rising_grants
from cloud_sync.protocol.messages import Grant, Lease
from payment_core.records import Lot, LotKind

ACCOUNT = bytes(16)


def grant(total, *, unit="CNY", epoch=1):
    return Grant(ACCOUNT, unit, epoch, total)


def test_a_repeated_or_older_total_changes_nothing():
    have = {LeaseKey(ACCOUNT, "CNY", 1): 500}
    assert rising_grants(Lease((grant(500), grant(300))), granted=have) == ()


def test_each_purse_and_epoch_is_a_lease_of_its_own():
    have = {LeaseKey(ACCOUNT, "CNY", 1): 500}
    more = (grant(700), grant(1, unit="bonus"), grant(100, epoch=2))
    assert rising_grants(Lease(more), granted=have) == more


def test_each_lot_is_a_lease_of_its_own():
    lot = Lot(bytes(range(16)), LotKind.GIFT, 1)
    have = {LeaseKey(ACCOUNT, "CNY", 1): 500}
    of_lot = Grant(ACCOUNT, "CNY", 1, 300, lot)
    assert rising_grants(Lease((grant(400), of_lot)), granted=have) == (of_lot,)
    assert rising_grants(Lease((of_lot,)), granted={LeaseKey(ACCOUNT, "CNY", 1, lot.lot): 300}) == ()


def test_a_message_that_names_a_lease_twice_counts_its_rises_in_order():
    assert rising_grants(Lease((grant(200), grant(100), grant(300))), granted={}) == (grant(200), grant(300))
