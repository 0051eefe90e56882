"""Hypothesis strategies for every journal entry, and for what goes into one."""

from hypothesis import strategies as st

from payment_core.journal import (
    Actor,
    Captured,
    Cause,
    CoinBooked,
    Commanded,
    Declined,
    Entry,
    EpochOpened,
    Expired,
    Header,
    Held,
    InDoubt,
    LateEvidence,
    LeaseGranted,
    LeaseTaken,
    Part,
    Refunded,
    Tampered,
    Tender,
    TimeQuality,
    ToppedUp,
    Voided,
)

UNITS = ("CNY", "bonus", "play:racing")
numbers = st.integers(0, 2**53 - 1)
amounts = st.integers(0, 2**40)
keys = st.binary(min_size=16, max_size=16)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,11}", fullmatch=True)
units = st.sampled_from(UNITS)
causes = st.sampled_from(Cause)
maybe = st.none()

headers = st.builds(
    Header,
    seq=st.integers(1, 2**53 - 1),
    wall_ms=numbers,
    boot_id=keys,
    boottime_ms=numbers,
    quality=st.sampled_from(TimeQuality),
    business_date=st.integers(20200101, 20991231),
    actor=st.sampled_from(Actor),
    tender=st.sampled_from(Tender),
    venue=maybe | keys,
    zone=maybe | names,
    machine=maybe | names,
    lane=maybe | names,
    authorization_id=maybe | keys,
    price_list_version=maybe | numbers,
    price_list_hash=maybe | st.binary(min_size=8, max_size=8),
    tax_code=maybe | names,
    reasons=maybe | st.text("px-", max_size=12),
    config_version=maybe | numbers,
    shift=maybe | names,
)
parts = st.lists(st.builds(Part, units, amounts, maybe | st.integers(0, 9)), max_size=4).map(tuple)
accounts = maybe | keys
classes = maybe | st.sampled_from("ABC")
one = st.just(1)

ENTRIES: dict[type, st.SearchStrategy[Entry]] = {
    EpochOpened: st.builds(EpochOpened, one, headers, numbers, numbers, numbers, st.binary(max_size=32), names),
    Held: st.builds(
        Held, one, headers, parts, accounts, accounts, classes, names, numbers, numbers, numbers
    ),
    Commanded: st.builds(Commanded, one, headers, names, numbers, numbers),
    Captured: st.builds(Captured, one, headers, parts, accounts, causes, parts, st.booleans()),
    Voided: st.builds(Voided, one, headers, parts, accounts, causes, st.booleans()),
    Expired: st.builds(Expired, one, headers, parts, accounts),
    InDoubt: st.builds(InDoubt, one, headers, parts, accounts, causes),
    Refunded: st.builds(Refunded, one, headers, parts, keys, causes),
    Declined: st.builds(
        Declined, one, headers, names, accounts, accounts, classes, names, numbers, numbers, parts
    ),
    CoinBooked: st.builds(CoinBooked, one, headers, names, numbers, numbers, numbers, numbers, units, amounts),
    Tampered: st.builds(Tampered, one, headers, names, numbers, numbers, numbers),
    LeaseTaken: st.builds(LeaseTaken, one, headers, keys, units, numbers, amounts, amounts),
    LateEvidence: st.builds(LateEvidence, one, headers, names, names, names),
    ToppedUp: st.builds(ToppedUp, one, headers, keys, units, amounts, names, names),
    LeaseGranted: st.builds(LeaseGranted, one, headers, keys, units, keys, numbers, amounts, amounts),
}
"""One strategy per entry type; a test checks that none is missing."""

entries = st.one_of(*ENTRIES.values())
