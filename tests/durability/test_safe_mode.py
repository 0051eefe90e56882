"""DUR-6, with a real hub: a damaged ledger is traded on no more within a minute, and what is intact of it goes up."""

import asyncio
import time
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.ledger.reader import LedgerReader
from tests.support.one_hub import MONEY, OneHub, furnish, open_hub

pytestmark = pytest.mark.slow
SAFE_MODE_S = 60.0
PAGE = 1_024


def change(file: Path, wanted: bytes, *, page: int = 0) -> None:
    """Flip a bit in the middle of some bytes of the file."""
    data = bytearray(file.read_bytes())
    start, end = ((page - 1) * PAGE, page * PAGE) if page else (0, len(data))
    place = data.index(wanted, start, end) + len(wanted) // 2
    data[place] ^= 2
    file.write_bytes(data)


def change_an_entry(ledger: Path) -> int:
    """Damage the journal in the middle; return how many entries are intact."""
    with closing(LedgerReader(ledger)) as reader:
        records = reader.records(0, 1_000)
    number = len(records) * 2 // 3
    change(ledger, records[number][4:40])
    return number


def change_an_amount(ledger: Path) -> int:
    """Damage what a guest has; the whole journal stays intact."""
    with closing(LedgerReader(ledger)) as reader:
        page = reader.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'leases'")[0][0]
        entries = len(reader.records(0, 1_000))
    change(ledger, MONEY.to_bytes(4, "big")[:3], page=page)
    return entries


async def no_more_trade(one: OneHub, intact: list[bytes]) -> None:
    took_s = await one.until(lambda: one.said("hub.closed"), "the hub is in safe mode", seconds=SAFE_MODE_S)
    await one.until(lambda: one.states and one.states[-1]["state"] == "safe_mode", "the office is told")
    await one.until(lambda: one.booked == intact, f"what is intact is in the office: {len(one.booked)}")
    given, since = len(one.given), time.monotonic()
    await one.until(lambda: len(one.closed_views(since)) > 1, "guests are turned away", again=one.tap)
    assert len(one.given) == given
    assert one.frozen == ""
    assert one.hub.restarts == 0
    print(f"safe mode after {took_s:.1f} s")  # noqa: T201 - the figure behind the promise


@pytest.mark.parametrize("damage", [change_an_entry, change_an_amount])
def test_a_damaged_ledger_is_traded_on_no_more_and_its_rest_goes_up(tmp_path, damage):
    async def story() -> None:
        state = tmp_path / "state"
        furnish(state)
        async with open_hub(tmp_path, state) as one:
            one.office_hears = False
            for _ in range(12):
                await one.sell()
        with closing(LedgerReader(one.ledger)) as reader:
            records = reader.records(0, 1_000)
        intact = records[: damage(one.ledger)]
        for _ in range(2):  # and after the next start too
            async with open_hub(tmp_path, state, office=one.office) as one:
                await no_more_trade(one, intact)

    asyncio.run(story())
