"""The simulated venue: hubs with their bridges on one LAN, each with its own uplink, and one office behind them."""

from collections.abc import Iterator
from pathlib import Path

from payment_core.identifiers import uuid_text
from payment_core.journal import BroughtIn, Held, decode_entry
from venuehub.simulator.bridge import Bridge
from venuehub.simulator.check_slots import Waits
from venuehub.simulator.check_stake import Stakes
from venuehub.simulator.floor_sales import FloorSales
from venuehub.simulator.hub import Hub
from venuehub.simulator.lan import Lan
from venuehub.simulator.lines import Line
from venuehub.simulator.mutants import PRODUCT, Build
from venuehub.simulator.office import Office
from venuehub.simulator.plan import FIRST_MONEY, UNIT
from venuehub.simulator.refusals import Refusals
from venuehub.simulator.stage import Stage
from venuehub.simulator.world import World


def plays_of(hub: Hub) -> dict[bytes, int]:
    """Return what every authorization of a hub's ledger costs."""
    entries = (decode_entry(record) for (record,) in hub.disk.connection.execute("SELECT record FROM entries"))
    return {
        entry.header.authorization_id: sum(part.amount for part in entry.parts)
        for entry in entries
        if isinstance(entry, Held) and entry.header.authorization_id is not None
    }


def cash_of(hub: Hub) -> dict[bytes, int]:
    """Return what was brought in by every intake of a hub's ledger."""
    entries = (decode_entry(record) for (record,) in hub.disk.connection.execute("SELECT record FROM entries"))
    return {
        entry.intake_id: sum(part.amount for part in entry.parts) for entry in entries if isinstance(entry, BroughtIn)
    }


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
        self._stray_taps = 0
        self.lost: list[dict[bytes, int]] = [{} for _hub in self.hubs]
        """What each hub's disk forgot when it was put back: the price of each play, by authorization.

        Also what it knows and the bridge's log has forgotten: what that log does not name is given back.
        """
        self.put_back = [0] * len(self.hubs)
        """How often an older copy of each hub's disk was put back."""
        self.lost_cash = [0] * len(self.hubs)
        """What guests brought in at each hub and its disk forgot."""
        self.refusals = Refusals(self)
        self.floor_sales = FloorSales()
        self.stakes = Stakes(stage.plan.risk().caps)
        self.waits = Waits()
        for hub in self.hubs:
            hub.watch, hub.watch_play, hub.watch_commit = self.refusals.see, self.floor_sales.see, self.stakes.see
            hub.bridge.watch_slot = self.waits.see

    def open(self) -> None:
        """Start everything."""
        self.office.paid_in = dict.fromkeys(self.office.accounts[1:], FIRST_MONEY)
        for bridge in self.bridges:
            bridge.start()
        for hub in self.hubs:
            hub.start()
        self.world.run(until_ms=1_500)

    def number_of(self, account_id: bytes) -> int:
        """Return which account this is; -1 for none of ours."""
        return self.stage.accounts.index(account_id) if account_id in self.stage.accounts else -1

    def credential(self, account: int) -> bytes:
        """Return the id of an account's card."""
        return self.stage.cards[account].credential_id(self.office.keys.pepper)

    def money_at(self, hub: Hub, account: int) -> int:
        """Return what an account may spend at a hub."""
        return hub.till.balance(self.stage.accounts[account]).get(UNIT, 0) if hub.alive else 0

    def guests_of(self, hub: int) -> list[int]:
        """Return the accounts that call a hub their own."""
        return [account for account in range(len(self.stage.cards)) if account % len(self.hubs) == hub]

    def tap_stray(self, hub: int, reader: str, card: int) -> None:
        """Hold a card that owns nothing to a reader."""
        self._stray_taps += 1
        self.bridges[hub].present_card(reader, self.stage.strays[card % len(self.stage.strays)], tap=self._stray_taps)

    def fill_purses(self, per_hub: int) -> None:
        """Bring money for every hub's own guests, and lease it there."""
        for number in range(len(self.hubs)):
            guests = self.guests_of(number)
            for account in guests:
                self.office.pay_in(account, per_hub // len(guests), hub=number)
        self.world.run(until_ms=self.world.now_ms + 4_000)

    def roll_back(self, number: int) -> None:
        """Put an older copy of a hub's disk back: its ledger and its bridge's logs lie on the same card."""
        hub, bridge = self.hubs[number], self.bridges[number]
        if not hub.disk.images:
            return
        self.world.happened["disk-rollback"] += 1
        self.world.note(f"{hub.name}: an older disk is put back")
        before, cash = plays_of(hub), cash_of(hub)
        hub.die(power_cut=True)
        bridge.die()  # also where the hub was down already
        hub.disk.put_back(hub.disk.images.pop())
        bridge.put_back_logs()
        tail = hub.disk.connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]
        hub.receipts = [receipt for receipt in hub.receipts if receipt[0] <= tail]
        kept = plays_of(hub)
        self.lost[number] |= {
            play: price
            for play, price in before.items()
            if play not in kept or bridge.has_pulsed_since_copy(uuid_text(play))
        }
        self.put_back[number] += 1
        self.lost_cash[number] += sum(cash.values()) - sum(cash_of(hub).values())
        hub.counter.forget_lost()

    def restore_office(self) -> None:
        """Put the office's copy back, where one is waiting, and let the hubs be heard again.

        Where hubs were heard meanwhile, they know what the office has forgotten.
        """
        if self.office.may_be_lost:
            unheard = all(hub.uplink.line.wall for hub in self.hubs)
            self.world.happened["office-restored" if unheard else "office-set-back"] += 1
            self.office.restore(declared=not unheard)
            for hub in self.hubs:
                hub.uplink.line.wall = ""

    def switch_off(self) -> None:
        """Take the power from every hub and its bridge, until `switch_on`."""
        for hub, bridge in zip(self.hubs, self.bridges, strict=True):
            hub.off = bridge.off = True
            hub.die(power_cut=True)
            bridge.die()

    def switch_on(self) -> None:
        """Give the power back."""
        for hub, bridge in zip(self.hubs, self.bridges, strict=True):
            hub.off = bridge.off = False
            bridge.start()
            hub.start_again()

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
        self.restore_office()
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
        self.world.after(10_000, self._give_up_holds)

    def _give_up_holds(self) -> None:
        for hub in self.hubs:
            hub.counter.give_up_holds()

    def close(self) -> None:
        """Release files and databases."""
        for bridge in self.bridges:
            bridge.close()
        for hub in self.hubs:
            hub.disk.connection.close()
        self.office.close()
