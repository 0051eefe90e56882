"""A hall, a foyer and a bar: who takes what in, passes what on, dies, is closed, and is heard late."""

from back_office.fleet.closing import close, cost
from back_office.ledger.unsettled import unsettled
from back_office.payments.slips import CLOCK_MARGIN_MS, SlipWish, issue_slip
from back_office.store import places
from cloud_sync.protocol.slips import VALID_MS, read_slip
from payment_core.accounts import Kind
from payment_core.journal import BroughtIn, Cause, Lot, LotKind, Part, Refunded, Source
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_HUB, TENANT, WALL_MS

BAR = bytes.fromhex("019399a0000070008000000000000009")
LOT = bytes([9]) * 16
SLIP = bytes([7]) * 16
OVER_MS = WALL_MS + VALID_MS + CLOCK_MARGIN_MS


def three_halls(office):
    """Return an office with a hall, a foyer and a bar that were heard."""
    office.foyer, office.bar = office.enroll(OTHER_HUB, "foyer"), office.enroll(BAR, "bar")
    for hub in (office.hub, office.foyer, office.bar):
        office.worker.on_message(*hub.hello())
    return office


def funded(halls, amount=1_000, hub_id=HUB):
    halls.top_up(amount)
    halls.lease(hub_id=hub_id)
    return halls


def brings(hub, amount, number=1):
    lot = Lot(LOT, LotKind.PAID, WALL_MS, None, "cash", "d1")
    parts = (Part("CNY", amount, 1, LOT),)
    intake = bytes([number]) * 16
    hub.write(lambda header: BroughtIn(1, header, GUEST, parts, Source.DRAWER, "front", intake, (lot,), (), "w"))
    hub.lots = {(GUEST, "CNY"): LOT}


def refunds(hub, amount, authorization=1):
    parts = (Part("CNY", amount, 1),)
    hub.write(lambda header: Refunded(1, header, parts, GUEST, Cause.STAFF), authorization=authorization)


def passes(halls, giver, taker, amount, *, heard=True):
    """Let money walk from one hub to another; heard: of the taker."""
    entry, voucher = giver.passed(taker, amount)
    taker.taken(giver, entry.header.seq, amount, voucher)
    if heard:
        halls.take(taker.batch(), taker)


def shut(halls, hub_id=OTHER_HUB, *, captured=False):
    with halls.store.writing() as tx:
        hub = places.hub(tx, TENANT, hub_id)
        return close(halls.desk(tx), hub, by="ann", note="dead", captured=captured)


def shown(halls, hub_id=OTHER_HUB):
    with halls.store.reading() as tx:
        return cost(tx, TENANT, places.hub(tx, TENANT, hub_id))


def hears(halls, hub, *, whole=True):
    """Hear a hub's rest; whole: it says behind it that this was all. Return where the guest's money is then."""
    halls.take(hub.batch(), hub)
    if whole:
        halls.worker.on_message(*hub.hello())
    return stands(halls)


def stands(halls):
    """Return what is in the purse, at the hall, the foyer and the bar, and on its way."""
    at_hubs = (halls.left(), halls.left(OTHER_HUB), halls.left(BAR))
    assert halls.prove().faults == []
    return halls.purse(), *at_hubs, halls.balance(Kind.PASSING)


def ends(halls):
    with halls.store.reading() as tx:
        return [(end.kind, end.hub, end.amount) for end in unsettled(tx, TENANT)]


def slip_of(halls, amount, slip_id=SLIP, *, names=OTHER_HUB):
    with halls.store.writing() as tx:
        wish = SlipWish(slip_id=slip_id, account_id=GUEST, unit="CNY", amount=amount, hub_id=names)
        return read_slip(issue_slip(halls.desk(tx), KEYS.signer, wish).text).slip
