"""People with cash at the slots of a venue: coins in, and a note wherever one is still taken."""

from typing import TYPE_CHECKING, Final

from venuehub.simulator.plan import COINS, NOTES, lanes

if TYPE_CHECKING:
    from venuehub.simulator.venue import Venue

_BEAT_MS: Final = 45
"""As long as a hub takes to hear of a coin and to shut its slots."""
_COIN, _NOTE = next(iter(COINS)), next(iter(NOTES))
_LANES: Final = lanes()


def wait_for_staff(venue: "Venue", plays: int) -> None:
    """Play with whoever has most at each hub where a doubt waits for staff, while no machine says what it gave."""
    for _play in range(plays):
        for number, hub in enumerate(venue.hubs):
            guest = max(range(len(venue.stage.cards)), key=lambda account: venue.money_at(hub, account))
            venue.tap(number, _LANES[-1].reader, guest)
        venue.world.run(until_ms=venue.world.now_ms + venue.stage.plan.risk().repeat_after_ms)


def fill(venue: "Venue", amount: int) -> None:
    """Insert coins worth `amount` at the last lane of every hub, one at a time, and a note where notes are taken."""
    for _coin in range(amount // COINS[_COIN]):
        for bridge in venue.bridges:
            bridge.insert_coin(_LANES[0].acceptor, _NOTE)
            bridge.insert_coin(_LANES[-1].acceptor, _COIN)
        venue.world.run(until_ms=venue.world.now_ms + _BEAT_MS)
