"""Broken builds: each breaks one promise, and the simulator has to see it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import msgspec

from venuehub.simulator import broken_hubs, broken_parts
from venuehub.simulator.bridge import Bridge
from venuehub.simulator.hub import Hub
from venuehub.simulator.uplink import Uplink


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made of; `broken()` breaks a function of the product while the run lasts."""

    hub: type[Hub] = Hub
    bridge: type[Bridge] = Bridge
    uplink: type[Uplink] = Uplink
    broken: Callable[[], AbstractContextManager[None]] = nullcontext


PRODUCT: Final = Build()
MUTANTS: Final[dict[str, Build]] = {
    "naive-cached-balance": Build(uplink=broken_hubs.SharesGrants),
    "command-before-commit": Build(hub=broken_hubs.CommandsFirst),
    "floor-reset-at-restart": Build(hub=broken_hubs.ForgetsFloors),
    "duplicate-receipt": Build(uplink=broken_hubs.CountsReceiptsTwice),
    "resend-with-new-id": Build(hub=broken_hubs.ResendsAnew),
    "refund-twice": Build(hub=broken_hubs.ActsAgain),
    "voucher-booked-twice": Build(hub=broken_hubs.BooksVouchersTwice),
    "block-evicted": Build(hub=broken_hubs.EvictsBlocks),
    "lost-commit-after-normal": Build(hub=broken_hubs.LosesCommits),
    "decision-outside-the-transaction": Build(hub=broken_hubs.DecidesOutside),
    "passing-only-when-the-office-is-away": Build(hub=broken_hubs.PassesOnlyOffline),
    "late-evidence-applied": Build(broken=broken_parts.late_evidence_applied),
    "slip-accepted-twice": Build(broken=broken_parts.slip_accepted_twice),
    "lease-reclaimed-by-time": Build(broken=broken_parts.lease_reclaimed_by_time),
    "floor-while-office-answers": Build(broken=broken_parts.floor_while_office_answers),
    "floor-while-money-is-coming": Build(broken=broken_parts.floor_while_money_is_coming),
    "sheds-all": Build(broken=broken_parts.sheds_all),
    "voucher-left-lying": Build(broken=broken_parts.vouchers_left_lying),
    "spent-vouchers-not-counted": Build(broken=broken_parts.spent_vouchers_not_counted),
    "voucher-forgotten-once-confirmed": Build(broken=broken_parts.vouchers_forgotten_once_confirmed),
    "closing-gives-all-back": Build(broken=broken_parts.closing_gives_all_back),
    "slot-open-for-the-smallest-coin": Build(broken=broken_parts.slots_open_for_the_smallest_coin),
    "slots-wait-for-nobody": Build(broken=broken_parts.slots_wait_for_nobody),
    "plays-leave-room-for-coins": Build(broken=broken_parts.plays_leave_room_for_coins),
    "booked-before-commit": Build(hub=broken_hubs.BooksFirst),
    "prune-early": Build(hub=broken_hubs.PrunesEarly),
    "credit-twice": Build(bridge=broken_hubs.CreditsTwice),
    "coins-forgotten": Build(bridge=broken_hubs.ForgetsCoins),
}
