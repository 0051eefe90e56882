"""What guests and staff do, by name: each is one row of the table from which a run's steps are drawn."""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from back_office.members.cards import parse_card
from edge_agent.messages import Answered
from payment_core.authorization import State
from payment_core.commands import Outcome, Result
from payment_core.events import CashSale, PrizeOut
from venuehub.simulator.plan import COINS, lanes
from venuehub.simulator.rooms import More, Put
from venuehub.simulator.venue import Venue

_UNKNOWN: Final = parse_card("ntag213:04FFFFFFFFFFFF")
_AGAIN_MS: Final = (10, 200, 1_500)
_SUMS: Final = (200, 500, 1_000)
_LANES: Final = lanes()
_STRANGE_COIN: Final = 9
_MACHINE_SPEAKS: Final = 8
_ENDS: Final = (State.EXPIRED, State.REFUNDED, State.VOIDED, State.CAPTURED, State.DECLINED)
_CONFUSED_MS: Final = (0, 35_000, 70_000)
_LOSES: Final = 12
_FOUND_MS: Final = (50, 1_000, 4_000)
_COPIED: Final = 400


class Wish(Protocol):
    """Who does it, and where: an action of the run."""

    @property
    def hub(self) -> int:
        """The hub at which the guest stands."""
        ...

    @property
    def account(self) -> int:
        """Whose card it is."""
        ...

    @property
    def lane(self) -> int:
        """Which lane of the hub."""
        ...

    @property
    def luck(self) -> int:
        """Sixteen bits of luck for everything else."""
        ...


class Guest(msgspec.Struct, frozen=True):
    """`act` does it; `weight` is how often, beside the others."""

    weight: int
    act: Callable[[Venue, Wish], None]


def _tap(venue: Venue, wish: Wish) -> None:
    venue.tap(wish.hub, _LANES[wish.lane].reader, wish.account)


def _tap_twice(venue: Venue, wish: Wish) -> None:
    _tap(venue, wish)
    venue.world.after(_AGAIN_MS[wish.luck % 3], lambda: _tap(venue, wish))


def _clone(venue: Venue, wish: Wish) -> None:
    """A copy of the card taps at another hub at the same moment.

    Of one that proves itself no copy works for long: the office blocks it, and so this is rare.
    """
    _tap(venue, wish)
    if venue.stage.cards[wish.account].kind.keyed and wish.luck % _COPIED:
        return
    other = (wish.hub + 1 + wish.luck) % len(venue.hubs)
    venue.bridges[other].present_card(
        _LANES[wish.lane].reader, venue.stage.cards[wish.account], tap=venue.taps[wish.account]
    )


def _tap_unknown(venue: Venue, wish: Wish) -> None:
    venue.bridges[wish.hub].present_card(_LANES[wish.lane].reader, _UNKNOWN, tap=1)


def _coin(venue: Venue, wish: Wish) -> None:
    position = tuple(COINS)[wish.luck % 2] if wish.luck % 64 else _STRANGE_COIN
    venue.bridges[wish.hub].insert_coin(_LANES[wish.lane].acceptor, position)
    if not wish.luck % _MACHINE_SPEAKS:
        body = PrizeOut(1) if wish.luck & _MACHINE_SPEAKS else CashSale(300)
        venue.bridges[wish.hub].tell_of_machine(_LANES[wish.lane].output, body)


def _pay_in(venue: Venue, wish: Wish) -> None:
    account = max(wish.account, 1)  # the first one's purse stays empty
    hub = wish.hub if wish.luck & 1 else None
    venue.office.pay_in(account, _SUMS[wish.luck % 3], hub=hub, twice=not wish.luck & 6)


def _again(wish: Wish) -> int | None:
    return (5, 60, 700)[wish.luck % 3] if wish.luck & 8 else None


def _credential(venue: Venue, wish: Wish) -> bytes:
    return venue.credential(wish.account)


def _cash(venue: Venue, wish: Wish) -> None:
    """Cash at the hub's own counter: money at once, also while the office is away."""
    if wish.account:
        amount = _SUMS[wish.luck % 3]
        venue.hubs[wish.hub].counter.top_up(
            _credential(venue, wish), amount, account=wish.account, again_ms=_again(wish)
        )


def _pay_out(venue: Venue, wish: Wish) -> None:
    venue.hubs[wish.hub].counter.pay_out(_credential(venue, wish), _SUMS[wish.luck % 3], account=wish.account)


def _refund(venue: Venue, wish: Wish) -> None:
    venue.hubs[wish.hub].counter.refund(50 if wish.luck & 1 else None, luck=wish.luck >> 1)


def _settle(venue: Venue, wish: Wish) -> None:
    """An attendant looks at a machine and says what it did: what its counter says, for he can read it."""
    counter = venue.hubs[wish.hub].counter
    doubts = counter.doubts()
    if doubts:
        doubt = doubts[wish.luck % len(doubts)]
        counter.settle(doubt, delivered=venue.bridges[wish.hub].pulsed.get(doubt, 0) > 0, again_ms=_again(wish))


def _block(venue: Venue, wish: Wish) -> None:
    """A card is lost: only ever the last of those that own nothing, for it is blocked for good. Its finder plays."""
    if wish.luck % _LOSES == 0:
        lost = len(venue.stage.strays) - 1
        venue.hubs[wish.hub].counter.block(venue.stage.strays[lost].credential_id(venue.office.keys.pepper))
        for later_ms in _FOUND_MS:
            venue.world.after(later_ms, lambda: venue.tap_stray(wish.hub, _LANES[wish.lane].reader, lost))


def _stray(venue: Venue, wish: Wish) -> None:
    """A card that proves itself and owns nothing plays on the hub's floor, as far as that goes."""
    venue.tap_stray(wish.hub, _LANES[wish.lane].reader, wish.luck)


def _slip(venue: Venue, wish: Wish) -> None:
    """Money on a phone: paid and signed at the office, shown at the hub, and shown again."""
    if venue.office.may_be_lost:
        return
    text = venue.office.issue_slip(max(wish.account, 1), _SUMS[wish.luck % 3])
    if not text:
        return
    hub = venue.hubs[wish.hub]
    for again in range(1 + wish.luck % 2):
        venue.world.after(40 + 200 * again, lambda: hub.show_slip(text))


def _put_aside(venue: Venue, wish: Wish) -> None:
    venue.hubs[wish.hub].offer(Put(venue.stage.accounts[wish.account], _LANES[wish.lane].id, 100))


def _put_more(venue: Venue, wish: Wish) -> None:
    """Right behind a tap where luck has it: then the machine is told already."""
    if wish.luck & 1:
        _tap(venue, wish)
    more = More(venue.stage.accounts[wish.account], 50)
    venue.world.after(20, lambda: venue.hubs[wish.hub].offer(more))


def _give_up(venue: Venue, wish: Wish) -> None:
    venue.hubs[wish.hub].counter.cancel(wish.luck)


def _confused_bridge(venue: Venue, wish: Wish) -> None:
    """A bridge says the contrary of what was settled long ago, or answers what it was never asked; and again later."""
    for later_ms in _CONFUSED_MS:
        venue.world.after(later_ms, lambda: _contradict(venue, wish))


def _contradict(venue: Venue, wish: Wish) -> None:
    hub, first = venue.hubs[wish.hub], wish.luck % len(_ENDS) if wish.luck & 16 else 0  # the first is the rarest
    for state in (*_ENDS[first:], *_ENDS[:first]):
        play = hub.counter.pick(state, wish.luck >> 4)
        if not play:
            continue
        outcome: Outcome = "failed" if state in (State.CAPTURED, State.REFUNDED) else "done"
        device = "" if state is State.DECLINED else hub.device_of(play)
        hub.offer(Answered(device, Result(id=play, outcome=outcome, amount=0, reason="confused")))
        return


def _roam(venue: Venue, wish: Wish) -> None:
    venue.world.note(f"account {wish.account} walks to hub {wish.hub}")


GUESTS: Final[dict[str, Guest]] = {
    "tap": Guest(48, _tap),
    "tap-twice": Guest(3, _tap_twice),
    "clone": Guest(3, _clone),
    "tap-unknown": Guest(2, _tap_unknown),
    "coin": Guest(16, _coin),
    "pay-in": Guest(1, _pay_in),
    "cash": Guest(4, _cash),
    "pay-out": Guest(1, _pay_out),
    "refund": Guest(3, _refund),
    "settle": Guest(2, _settle),
    "block": Guest(1, _block),
    "stray": Guest(2, _stray),
    "put-aside": Guest(5, _put_aside),
    "put-more": Guest(2, _put_more),
    "give-up": Guest(1, _give_up),
    "confused-bridge": Guest(1, _confused_bridge),
    "slip": Guest(1, _slip),
    "roam": Guest(14, _roam),
}
