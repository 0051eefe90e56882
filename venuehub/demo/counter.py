"""The demo's counter: members who have played their money away top up, through the office's own desk."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from typing import Final

from back_office.ledger.desk import Desk, TopUp
from back_office.settings import database_file
from back_office.store.engine import open_store, sqlite_url
from back_office.store.places import hub, venues
from edge_agent.ledger.reader import LedgerReader
from venuehub.demo.places import UNIT
from venuehub.demo.plan import Folder
from venuehub.demo.venue import Arcade

EVERY_S: Final = 3.0
LOW: Final = 600
AMOUNT: Final = 5_000


async def keep_topping_up(arcade: Arcade, folder: Folder, accounts: frozenset[bytes]) -> None:
    """Top up whoever of these accounts has little left at the hubs, and lease it to one of them at once."""
    for number in itertools.count(1):
        await asyncio.sleep(EVERY_S)
        poor = await asyncio.to_thread(_poor, arcade, folder, accounts)
        if poor:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(_top_up, arcade, folder, poor, number)


def _poor(arcade: Arcade, folder: Folder, accounts: frozenset[bytes]) -> list[bytes]:
    left: Counter[bytes] = Counter()
    for hall in arcade.halls:
        reader = LedgerReader(folder.hall(hall.name).ledger)
        try:
            sql = "SELECT account_id, sum(granted - committed + released + refunded) FROM leases GROUP BY account_id"
            left.update(dict(reader.rows(sql)))
        finally:
            reader.close()
    return [account for account, amount in left.items() if amount < LOW and account in accounts]


def _top_up(arcade: Arcade, folder: Folder, poor: list[bytes], number: int) -> None:
    store = open_store(sqlite_url(database_file(folder.office)))
    try:
        with store.writing() as tx:
            venue = venues(tx, arcade.tenant_id)[0]
            own = hub(tx, arcade.tenant_id, arcade.halls[number % len(arcade.halls)].hub_id)
            assert own is not None
            desk = Desk(tx, arcade.tenant_id, venue, now_ms=time.time_ns() // 1_000_000)
            for account in poor:
                payment_id = f"counter-{number}-{account.hex()[-6:]}"
                desk.top_up(
                    TopUp(account_id=account, unit=UNIT, amount=AMOUNT, channel="sandbox", payment_id=payment_id)
                )
                desk.lease(own, account)
    finally:
        store.close()
