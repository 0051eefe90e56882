"""Totals only rise."""

from cloud_sync.protocol.leases import LeaseKey, rising_grants
from cloud_sync.protocol.messages import Grant, Lease

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


def test_a_message_that_names_a_lease_twice_counts_its_rises_in_order():
    assert rising_grants(Lease((grant(200), grant(100), grant(300))), granted={}) == (grant(200), grant(300))
