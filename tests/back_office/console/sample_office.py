"""An office with written-out answers, for the page's own tests: no database, and a bell to ring when rows change."""

import asyncio
import sys

import uvicorn

from back_office.console.app import make_console
from back_office.console.interface import (
    DEMO_LOSS,
    AlarmRow,
    BoundRow,
    ButtonResult,
    Day,
    DayHub,
    DayLate,
    DayMachine,
    DaySum,
    DayZ,
    GapRow,
    HubRow,
    LooseRow,
    MoneyRow,
    TapRow,
    TrialRow,
    Venue,
)
from payment_core.money import Money

AT_MS = 1_795_312_800_000  # 2026-11-22 10:00:00 in Shanghai


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


class Bell:
    """`Live`, rung by hand."""

    def __init__(self):
        self.number = 1
        self._rung = asyncio.Event()

    async def wait(self, seen: int) -> int:
        while self.number <= seen:
            await self._rung.wait()
        return self.number

    def ring(self) -> None:
        self.number += 1
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()


class SampleOffice:
    """`OfficeQueries` over lists that a test may change."""

    def __init__(self):
        self.hub_rows: list[HubRow] = []
        self.tap_rows: list[TapRow] = []
        self.money_rows: list[MoneyRow] = []
        self.trial_rows: list[TrialRow] = []
        self.gap_rows: list[GapRow] = []
        self.alarm_rows: list[AlarmRow] = []
        self.loose_rows: list[LooseRow] = []
        self.bound_rows: list[BoundRow] = []
        self.day_changes: dict[str, object] = {}

    async def venue(self) -> Venue:
        return Venue(name="Star Arcade 星际电玩", timezone="Asia/Shanghai", business_date="2026-11-22")

    async def hubs(self) -> list[HubRow]:
        return self.hub_rows

    async def taps(self, limit: int) -> list[TapRow]:
        return self.tap_rows[:limit]

    async def money(self, business_date: str) -> list[MoneyRow]:
        assert business_date == "2026-11-22"
        return self.money_rows

    async def trial_balance(self) -> list[TrialRow]:
        return self.trial_rows

    async def gaps(self) -> list[GapRow]:
        return self.gap_rows

    async def alarms(self, limit: int) -> list[AlarmRow]:
        return self.alarm_rows[:limit]

    async def bound(self) -> list[BoundRow]:
        return self.bound_rows

    async def unsettled(self, limit: int) -> list[LooseRow]:
        return self.loose_rows[:limit]

    async def day(self, business_date: str) -> Day:
        shown = business_date if business_date.startswith("2026-") else "2026-11-22"  # of what is no date, today
        usual = {
            "at_ms": AT_MS, "business_date": shown, "before": "2026-11-21", "after": "2026-11-23", "z_no": 0,
            "sums": [], "machines": [], "hubs": [], "late": [], "behind": [], "doubts": [], "open_dates": [],
            "more_open_dates": 0, "closings": [],
        }  # fmt: skip
        return Day(**{**usual, **self.day_changes})


def hub_row(**changes) -> HubRow:
    usual = {
        "hub": "0199aa", "name": "Hall 1", "online": True, "last_seen_ms": AT_MS, "outbox_age_ms": None,
        "outbox_entries": 0, "unsynced": cny(0), "epoch": 1, "last_seq": 4_812, "frozen": False,
    }  # fmt: skip
    return HubRow(**{**usual, **changes})


def tap_row(number: int, result: str = "captured", **changes) -> TapRow:
    usual = {
        "id": f"tap{number}", "at_ms": AT_MS + number * 1_700, "hub": "0199aa", "machine": f"racer-{number % 6 + 1}",
        "amount": cny(200), "result": result,
    }  # fmt: skip
    return TapRow(**{**usual, **changes})


def busy_office() -> SampleOffice:
    """Return an office on a good evening with a few things that went wrong."""
    office = SampleOffice()
    office.hub_rows = [
        hub_row(),
        hub_row(
            hub="0199bb", name="Hall 2", online=False, last_seen_ms=AT_MS - 200_000, outbox_age_ms=185_000,
            outbox_entries=37, unsynced=cny(7_400), last_seq=2_071,
        ),
    ]  # fmt: skip
    odd = [
        tap_row(20, "approved"), tap_row(18, "declined", reason="not_enough"), tap_row(16, "in_doubt"),
        tap_row(14, "coins", amount=cny(100)), tap_row(12, "repeated", amount=None),
        tap_row(10, "voided", offline=True), tap_row(8, "declined", reason="card_lost", offline=True),
        tap_row(6, "refunded"),
    ]  # fmt: skip
    plain = [tap_row(number, offline=number < 9) for number in (*range(19, 4, -2), 4, 3, 2, 1)]
    office.tap_rows = sorted(odd + plain, key=lambda row: -row.at_ms)
    office.money_rows = [
        MoneyRow(kind="taken", purse="CNY", amount=cny(482_600), count=2_413),
        MoneyRow(kind="taken", purse="bonus", amount=Money(12_400, "bonus"), count=62),
        MoneyRow(kind="coins", purse="", amount=cny(31_800), count=318),
        MoneyRow(kind="refunds", purse="CNY", amount=cny(800), count=4),
        MoneyRow(kind="in_doubt", purse="CNY", amount=cny(200), count=1),
    ]
    office.trial_rows = [
        TrialRow(account="purse", amount=cny(-1_204_400)),
        TrialRow(account="lease", amount=cny(-96_000)),
        TrialRow(account="revenue", amount=cny(-513_600)),
        TrialRow(account="suspense", amount=cny(-200)),
        TrialRow(account="cash_box", amount=cny(31_800)),
        TrialRow(account="psp_clearing", amount=cny(1_782_400)),
    ]
    office.day_changes = {
        "z_no": 326,
        "sums": [
            day_sum("cash_box", 31_800, 318), day_sum("revenue", 513_600, 2_731), day_sum("psp_clearing", 882_400, 96),
        ],
        "machines": [
            DayMachine(hub="Hall 1", machine=f"racer-{n}", account="revenue", amount=cny(n * 24_600), entries=123)
            for n in range(1, 7)
        ],
        "hubs": [
            DayHub(name="Hall 1", epoch=1, through_entry=4_812, silent="", since_ms=AT_MS),
            DayHub(name="Hall 2", epoch=1, through_entry=2_071, silent="not_heard", since_ms=AT_MS - 200_000),
            DayHub(name="Hall 3 星际", epoch=0, through_entry=0, silent="parked", since_ms=None),
        ],
        "late": [
            DayLate(business_date="2026-11-20", z_no=325, entries=1_204, sums=[day_sum("revenue", 96_000, 480)]),
        ],
        "behind": [
            DayLate(business_date="2026-11-22", z_no=326, entries=12, sums=[day_sum("revenue", 1_800, 9)]),
        ],
        "doubts": [day_sum("suspense", 600, 3)],
        "open_dates": ["2026-11-18", "2026-11-19"], "more_open_dates": 0,
        "closings": [
            DayZ(z_no=326 - n, business_date=f"2026-11-{22 - n:02}", by="Mei Ling", made_ms=AT_MS) for n in range(12)
        ],
    }  # fmt: skip
    return office


def day_sum(account: str, minor: int, entries: int) -> DaySum:
    return DaySum(account=account, amount=cny(minor), entries=entries)


def troubled_office() -> SampleOffice:
    """Return an office with a gap, alarms and books that do not balance."""
    office = busy_office()
    office.gap_rows = [GapRow(hub="Hall 2", epoch=1, first_seq=2_031, last_seq=2_044, since_ms=AT_MS - 120_000)]
    office.alarm_rows = [
        AlarmRow(at_ms=AT_MS, hub="Hall 1", kind="fork", severity="critical", text="Entry 4790 came twice, unlike."),
        AlarmRow(at_ms=AT_MS, hub="Hall 2", kind="late", severity="info", text="Its last batch is three minutes old."),
    ]
    office.trial_rows = [*office.trial_rows, TrialRow(account="over_short", amount=cny(150))]
    return office


async def control(action: str) -> ButtonResult:
    """Answer for the demo's control."""
    if action == DEMO_LOSS:
        return ButtonResult(en="¥18.00 of ¥24.00: 6 cards", zh="¥18.00 / ¥24.00：6 张", of=(1_800, 2_400))
    return ButtonResult(en=f"done: {action}", zh=f"完成: {action}")


def main() -> None:
    """Serve one of the sample offices on a port, to look at: `python sample_office.py PORT busy|troubled|empty`."""
    kinds = {"busy": busy_office, "troubled": troubled_office, "empty": SampleOffice}
    app = make_console(kinds[sys.argv[2]](), Bell(), control if sys.argv[2] == "busy" else None)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
