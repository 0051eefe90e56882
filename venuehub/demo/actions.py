"""What can be broken in the demo venue: each action does it for real and says in two languages what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from back_office.console.interface import DEMO_ACTIONS, DemoAction
from edge_agent.ledger.reader import LedgerReader
from payment_core.money import Money, money_text
from payment_core.wording import counted
from venuehub.demo.attendant import leave_doubt
from venuehub.demo.hub_audit import read_hubs
from venuehub.demo.places import UNIT, Place
from venuehub.demo.stage import Stage
from venuehub.demo.waiting import eventually

COINS: Final = 2


class Said(msgspec.Struct, frozen=True):
    """One line about what came of an action, in English and in Chinese. `of`: how much of how much, for a bar."""

    en: str
    zh: str
    of: tuple[int, int] | None = None


class Actions:
    """The demo's buttons, by name."""

    def __init__(self, stage: Stage) -> None:
        self.cut_at: float | None = None
        self._passed = 0
        self._stage = stage
        self._jam: Place | None = None
        self._do: dict[DemoAction, Callable[[], Awaitable[Said]]] = {
            "uplink_cut": self.cut,
            "uplink_heal": self.heal,
            "hub_kill": self.kill_hub,
            "card_copy": self.copy_card,
            "machine_jam": self.jam,
            "machine_clear": self.clear,
            "doubt": self.doubt,
        }
        assert set(self._do) == set(DEMO_ACTIONS)

    async def do(self, action: str) -> Said:
        """Do one action; an unknown one is answered, not raised."""
        for name, work in self._do.items():
            if name == action:
                return await work()
        known = ", ".join(DEMO_ACTIONS)
        return Said(f"There is no action {action!r}: {known}", f"没有这个操作: {known}")

    async def cut(self) -> Said:
        """Pull the internet."""
        if self.cut_at is not None:
            return Said("The internet is cut already.", "网线已经拔掉了。")
        self._passed = read_hubs(self._stage.ledgers).passed
        self._stage.relay.pull()
        self.cut_at = time.monotonic()
        return Said(
            "The internet is gone. Guests go on playing: every decision is made at the hub, on leased money.",
            "网线已拔掉。客人照常游玩: 每次扣款都由本地主机在已租用的余额内决定。",
        )

    async def heal(self) -> Said:
        """Plug the internet in again and wait until the office has caught up."""
        if self.cut_at is None:
            return Said("The internet was not cut.", "网线没有拔掉。")
        ends = {ledger: journal_ends(ledger) for ledger in self._stage.ledgers}
        passed = read_hubs(self._stage.ledgers).passed - self._passed
        self._stage.relay.plug()
        self.cut_at = None
        await eventually(lambda: still_waiting(ends) == 0)
        return back_online(sum(last - sure for last, sure in ends.values()), still_waiting(ends), passed)

    async def kill_hub(self) -> Said:
        """Insert coins and kill the hub at the same moment; see that every coin is booked once."""
        stage = self._stage
        place = stage.plan.places[1]
        await self._quiet(place)
        before = self._coins_at(place)
        stage.guests.insert_coins(place, COINS)
        await asyncio.sleep(0.15)
        stage.hub_at(place).kill()
        await eventually(lambda: self._coins_at(place) >= before + COINS)
        booked = self._coins_at(place) - before
        stage.guests.closed.discard(place.number)
        return Said(
            f"Killed the hub while {COINS} coins fell. It came back by itself and booked {booked}, each once.",
            f"投入 {COINS} 枚硬币时主机断电。它自动恢复, 入账 {booked} 枚, 每枚只记一次。",
        )

    async def copy_card(self) -> Said:
        """Play back a recorded tap of a card that proves itself."""
        stage = self._stage
        member = next(member for member in stage.plan.members if member.card.startswith("ntag424:"))
        place = stage.plan.places[2]
        before = stage.observer.declined["card_not_proven"]
        await self._quiet(place)
        stage.guests.tap(place, member)
        await asyncio.sleep(1.5)
        stage.guests.tap_copy(place, member)
        await eventually(lambda: stage.observer.declined["card_not_proven"] > before)
        stage.guests.closed.discard(place.number)
        if stage.observer.declined["card_not_proven"] == before:
            return Said(f"A copy of {member.name}'s card WENT THROUGH.", f"{member.name} 的复制卡通过了！")
        return Said(
            f"A copy of {member.name}'s card was refused: without the card's key nobody can make its next tap.",
            f"{member.name} 的复制卡被拒绝: 没有卡内密钥, 谁也算不出它的下一次刷卡。",
        )

    async def jam(self) -> Said:
        """Jam a machine and let somebody tap at it."""
        stage = self._stage
        place = stage.plan.places[3]
        await self._quiet(place)
        stage.machines.say(f"{place.machine_sim} jam")
        self._jam = place
        await asyncio.sleep(0.3)
        member = max(stage.plan.members, key=lambda member: member.balance)
        declined, held = stage.observer.declined["machine_off"], stage.observer.answers["held"]
        stage.guests.tap(place, member)
        await eventually(lambda: stage.observer.declined["machine_off"] > declined)
        if stage.observer.declined["machine_off"] == declined:
            said = f"the tap came before the hub knew ({stage.observer.answers['held'] - held} held meanwhile)"
            return Said(f"{place.lane.name} is jammed; {said}.", f"{place.lane.name} 已卡住, 主机还没来得及知道。")
        price = money_text(Money(stage.plan.prices.rules[0].price[0].minor, UNIT))
        return Said(
            f"{place.lane.name} is jammed. {member.name} tapped for {price}: nothing was charged, the page says why.",
            f"{place.lane.name} 已卡住。{member.name} 刷卡 {price}: 没有扣款, 屏幕说明了原因。",
        )

    async def clear(self) -> Said:
        """Clear the jam."""
        if self._jam is None:
            return Said("No machine is jammed.", "没有机器卡住。")
        self._stage.machines.say(f"{self._jam.machine_sim} clear")
        self._stage.guests.closed.discard(self._jam.number)
        name, self._jam = self._jam.lane.name, None
        return Said(f"{name} takes credits again.", f"{name} 已恢复, 可以游玩。")

    async def doubt(self) -> Said:
        """Kill the first hall's bridge in the middle of a play: somebody at the desk says what became of it."""
        opened = await leave_doubt(self._stage)
        desk, person = self._stage.addresses["desk"], self._stage.addresses["desk_person"]
        if not opened:
            return Said("The machine was faster than the plug: try again.", "机器比断电更快, 请再试一次。")
        return Said(
            f"The bridge died in mid-play. Nobody knows whether the machine ran: settle it at {desk} as {person}.",
            f"游玩途中桥接断电, 谁也不知道机器是否启动: 请到 {desk} 以 {person} 身份处理。",
        )

    async def _quiet(self, place: Place) -> None:
        """Keep guests away from a machine and wait until nothing moves there."""
        self._stage.guests.closed.add(place.number)
        await asyncio.sleep(1.5)

    def _coins_at(self, place: Place) -> int:
        """Return how many value events of a machine's acceptor are booked."""
        reader = LedgerReader(self._stage.ledger_at(place))
        try:
            sql = "SELECT sum(seq) FROM device_marks WHERE kind = 2 AND device = ?"
            rows = reader.rows(sql, (place.lane.acceptor,))
        finally:
            reader.close()
        return int(rows[0][0] or 0)


def back_online(waited: int, left: int, passed: int) -> Said:
    """Tell how many of the entries that waited while the line was cut are in the books: `left` of them are not yet."""
    if left:
        en = f"{waited - left} of the {waited} journal entries that waited at the hubs are in the books so far."
        zh = f"主机上等待的 {waited} 条记录中, 目前已入账 {waited - left} 条。"
    else:
        en = f"{waited} journal entries had waited at the hubs, and every one of them went into the books."
        zh = f"主机上等待的 {waited} 条记录已全部入账。"
    return Said(
        f"Back online: {en} Meanwhile money followed its guests to the other hall {counted(passed, 'time')}.",
        f"网络恢复: {zh}断网期间, 余额跟随客人到另一个厅 {passed} 次。",
    )


def still_waiting(ends: Mapping[Path, tuple[int, int]]) -> int:
    """Return how many entries up to these ends of the hubs' journals the office has not confirmed yet."""
    return sum(max(last - journal_ends(ledger)[1], 0) for ledger, (last, _sure) in ends.items())


def unsynced(ledger: Path) -> int:
    """Return how many entries of a hub's journal the office has not confirmed."""
    last, sure = journal_ends(ledger)
    return last - sure


def journal_ends(ledger: Path) -> tuple[int, int]:
    """Return the number of the last entry of a hub's journal, and of the last that the office has confirmed."""
    reader = LedgerReader(ledger)
    try:
        sql = "SELECT (SELECT max(seq) FROM entries), (SELECT value FROM meta WHERE key = 'acked_seq')"
        last, sure = reader.rows(sql)[0]
        return int(last), int(sure)
    finally:
        reader.close()
