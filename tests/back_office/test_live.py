"""Everybody who waits for a change hears of it; who comes late does not wait."""

import asyncio

from back_office.live import Live


def test_a_change_wakes_everybody():
    async def scene():
        live = Live()
        assert await live.wait(0) == 1
        waiting = [asyncio.create_task(live.wait(1)) for _ in range(3)]
        await asyncio.sleep(0)
        live.announce()
        assert await asyncio.gather(*waiting) == [2, 2, 2]
        live.announce()
        assert await live.wait(1) == 3

    asyncio.run(scene())
