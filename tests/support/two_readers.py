"""One batch before two readers: the product, and the one made from docs/wire/ehb1.md alone. And both writers."""

import functools
import random

from cloud_sync import compression
from cloud_sync.protocol.batcher import Refused, build_body, chain_tail, read_entries, verify_records
from cloud_sync.protocol.envelope import Header, Rejected
from cloud_sync.sealing import HpkeOpener, HpkeSealer, authenticate, decrypt, seal_batch
from cloud_sync.signing import Ed25519Signer, public_of
from payment_core.records import TimeQuality
from tests.support import independent_ehb1 as second
from tests.support import independent_entries as entries
from tests.support import independent_hpke as hpke
from tests.support.independent_ehb1 import Place, RefusedError
from tests.vectors import make_independent_vectors as theirs

HUB, SIGN, KEYS, MS = theirs.HUB, theirs.SIGN, theirs.RECEIVE, theirs.MS
PUBLIC = public_of(SIGN)
BOTH_KEYS = (KEYS[1], KEYS[3])
SMALL = (theirs.opened(1), *theirs.coins(2, 2))

_opener = functools.cache(HpkeOpener)


def product_says(data, after, *, hub=HUB, signer=PUBLIC, keys=BOTH_KEYS):
    """Return the records that the product takes from a batch, or its reason."""
    envelope = authenticate(data, hub_id=hub, signer_public=signer)
    if isinstance(envelope, Rejected):
        return envelope.reason
    opened = decrypt(envelope, opener=_opener(keys))
    if isinstance(opened, Rejected):
        return opened.reason
    first = after.last_record + 1
    records = verify_records(opened.body, opened.header, previous_tail=after.tail, first_record=first)
    if isinstance(records, Refused):
        return records.reason
    if opened.header.stream == 0 and isinstance(
        read_entries(records, first_record=first, epoch=opened.header.epoch), str
    ):
        return "parked"
    return list(records)


def second_says(data, after, *, hub=HUB, signer=PUBLIC, keys=BOTH_KEYS):
    """Return what the second reader says: records or reason."""
    try:
        return second.open_batch(data, hub_sign_public=signer, office_receive_private=keys, hub_id=hub, after=after)[1]
    except RefusedError as refused:
        return refused.reason


def second_says_without_place(data, after):
    """Return the same with the place in the journal left out, which the product judges elsewhere."""
    try:
        header, sealed = second.authenticate(data, hub_sign_public=PUBLIC, hub_id=HUB)
        records = second.records_of(header, second.open_body(data, header, sealed, BOTH_KEYS), after)
    except RefusedError as refused:
        return refused.reason
    numbered = enumerate(records, start=header["first_record"])
    booked = header["stream"] or all(entries.is_bookable(each, seq=i, epoch=header["epoch"]) for i, each in numbered)
    return records if booked else "parked"


def written(records=SMALL, *, after=None, suite=1, dice=7, **others):
    """Return a batch of the second writer."""
    return second.write_batch(
        records,
        hub_id=HUB,
        hub_sign_private=SIGN,
        office_receive_public=hpke.public_of(KEYS[suite]),
        ephemeral=random.Random(dice).randbytes(64 if suite == 3 else 32),
        created_ms=MS,
        after=after or Place(),
        suite=suite,
        **others,
    )


def sealed_by_us(records, *, after, suite, stream, packed):
    """Return a batch of the product."""
    public = hpke.public_of(KEYS[suite])
    body = build_body(records)
    small = compression.pack(body) if packed else None
    header = Header(
        hub_id=HUB,
        epoch=after.epoch,
        batch_seq=after.batch_seq + 1,
        first_record=after.last_record + 1,
        record_count=len(records),
        created_ms=MS,
        time_quality=TimeQuality(after.batch_seq % 5),
        recipient_key=second.key_id(public),
        signer_key=second.key_id(PUBLIC),
        previous_batch_hash=after.batch_hash,
        journal_tail_hash=chain_tail(after.tail, records),
        suite=suite,
        stream=stream,
        compressed=small is not None,
    )
    return seal_batch(header, small or body, sealer=HpkeSealer(public, suite=suite), signer=Ed25519Signer(SIGN))
