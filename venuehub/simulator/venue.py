"""The simulated venue: hubs with their bridges on one LAN, each with its own uplink, and one office behind them."""

from collections.abc import Iterator
from pathlib import Path

from venuehub.simulator.bridge import Bridge
from venuehub.simulator.hub import Hub
from venuehub.simulator.lan import Lan
from venuehub.simulator.lines import Line
from venuehub.simulator.mutants import PRODUCT, Build
from venuehub.simulator.office import Office
from venuehub.simulator.plan import FIRST_MONEY
from venuehub.simulator.refusals import Refusals
from venuehub.simulator.stage import Stage
from venuehub.simulator.world import World


class Venue:
    """Everything of one run. `taps`: how often each card was held to a reader."""

    def __init__(self, world: World, stage: Stage, folder: Path, build: Build = PRODUCT) -> None:
        self.world = world
        self.stage = stage
        self.office = Office(world, folder, stage)
        self.lan = Lan()
        self.hubs: list[Hub] = []
        self.bridges: list[Bridge] = []
        for number, identity in enumerate(stage.identities):
            hub = build.hub(world, identity, number=number, ledger=stage.ledger)
            hub.uplink = build.uplink(hub, self.office)
            hub.port = self.lan.plug_in(hub)
            self.hubs.append(hub)
            self.bridges.append(build.bridge(hub, folder / f"bridge-{number}"))
        self.taps = [0] * len(stage.cards)
        self.refusals = Refusals(self)
        for hub in self.hubs:
            hub.watch = self.refusals.see

    def open(self) -> None:
        """Start everything, with money in all purses but the first two."""
        for account in range(2, len(self.office.accounts)):
            self.office.pay_in(account, FIRST_MONEY, hub=account % len(self.hubs) if account % 2 else None)
        for bridge in self.bridges:
            bridge.start()
        for hub in self.hubs:
            hub.start()
        self.world.run(until_ms=1_500)

    def number_of(self, account_id: bytes) -> int:
        """Return which account this is; -1 for none of ours."""
        return self.stage.accounts.index(account_id) if account_id in self.stage.accounts else -1

    def lines(self) -> Iterator[Line]:
        """Yield every line."""
        for hub in self.hubs:
            yield hub.bus
            yield hub.uplink.line
            yield hub.port.line

    def tap(self, hub: int, reader: str, account: int) -> None:
        """Hold an account's card to a reader."""
        self.taps[account] += 1
        self.bridges[hub].present_card(reader, self.stage.cards[account], tap=self.taps[account])

    def heal(self) -> None:
        """Mend everything that is broken, and let every hub greet anew: what was lost on the way is told again."""
        self.world.note("world: heals")
        for line in self.lines():
            line.clear_up()
        for hub, bridge in zip(self.hubs, self.bridges, strict=True):
            hub.doom.disarm()
            bridge.doom.disarm()
            bridge.jams.clear()
            hub.disk.armed, hub.disk.full = None, False
            hub.clock.mend()
            hub.port.link()
            hub.uplink.lose_link()

    def close(self) -> None:
        """Release files and databases."""
        for bridge in self.bridges:
            bridge.close()
        for hub in self.hubs:
            hub.disk.connection.close()
        self.office.close()
