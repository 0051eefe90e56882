"""DUR-7: a ledger that was set back or deleted is noticed, here or at the first exchange; its hub spends no more."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from tests.cloud_sync.world import MemoryOffice
from tests.support.one_hub import OneHub, furnish, open_hub

pytestmark = pytest.mark.slow
FROZEN_S = 10.0


def restore_all(state: Path, old: Path) -> None:
    """The whole card is put back, as from an image of it."""
    shutil.rmtree(state)
    shutil.copytree(old, state)


def restore_the_ledger(state: Path, old: Path) -> None:
    """Somebody copies an old ledger file over the new one."""
    shutil.copy(old / "ledger.sqlite3", state / "ledger.sqlite3")


def delete_the_ledger(state: Path, _old: Path) -> None:
    (state / "ledger.sqlite3").unlink()


def delete_all(state: Path, _old: Path) -> None:
    shutil.rmtree(state)


async def sell_three(folder: Path, mutant: str, office: MemoryOffice | None) -> MemoryOffice:
    async with open_hub(folder, folder / "state", mutant=mutant, office=office) as one:
        for _ in range(3):
            await one.sell()
        await one.synced()
        return one.office


async def refuses_to_spend(one: OneHub) -> list[str]:
    """Tap for a second; return whether anything was given."""
    await one.until(lambda: one.said("till.frozen") or one.said("hub.closed"), "the hub knows")
    given, since = len(one.given), time.monotonic()
    await one.until(lambda: time.monotonic() - since > 1, "a second has passed", again=one.tap)
    return [f"{len(one.given) - given} plays were sold on a ledger that was set back"] if len(one.given) > given else []


def play(folder: Path, set_back, mutant: str = "") -> list[str]:
    async def story() -> list[str]:
        furnish(folder / "state")
        office = await sell_three(folder, mutant, None)
        shutil.copytree(folder / "state", folder / "old")
        await sell_three(folder, mutant, office)
        set_back(folder / "state", folder / "old")
        async with open_hub(folder, folder / "state", mutant=mutant, office=office) as one:
            await one.until(lambda: one.frozen, "the office notices", seconds=FROZEN_S)
            assert one.frozen == "rolled_back"
            return await refuses_to_spend(one)

    return asyncio.run(story())


@pytest.mark.parametrize("set_back", [restore_all, restore_the_ledger, delete_the_ledger])
def test_a_ledger_that_was_set_back_is_noticed_at_the_first_exchange(tmp_path, set_back):
    assert play(tmp_path, set_back) == []


def test_a_hub_that_has_nothing_left_is_noticed_and_has_nothing_to_sell(tmp_path):
    async def story() -> None:
        furnish(tmp_path / "state")
        office = await sell_three(tmp_path, "", None)
        delete_all(tmp_path / "state", tmp_path / "state")
        async with open_hub(tmp_path, tmp_path / "state", office=office) as one:
            await one.until(lambda: one.frozen, "the office notices", again=one.tap, seconds=FROZEN_S)
            assert (one.frozen, one.given) == ("rolled_back", set())

    asyncio.run(story())


def test_a_build_that_does_not_hear_the_freeze_is_caught(tmp_path):
    def set_back(state: Path, old: Path) -> None:
        restore_all(state, old)
        (state.parent / "hub.log").write_text('{"event": "till.frozen"}\n')  # it never says so

    assert play(tmp_path, set_back, mutant="ignores-the-freeze") != []
