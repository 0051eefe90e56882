"""One look at the books for everyone who watches."""

import asyncio

from back_office.console.snapshot import Watch
from payment_core.money import Money
from tests.back_office.console.sample_office import Bell, busy_office, cny, tap_row, troubled_office


class CountingOffice(type(busy_office())):
    """Counts how often the books are asked."""

    asked = 0

    async def venue(self):
        self.asked += 1
        return await super().venue()


def look_at(office):
    return asyncio.run(Watch(office, Bell()).look())


def test_the_balances_are_added_up_per_unit():
    look = look_at(busy_office())
    assert (look.trial_sums(), look.balanced()) == ([Money(0, "CNY")], True)


def test_books_that_are_off_say_by_how_much():
    look = look_at(troubled_office())
    assert (look.trial_sums(), look.balanced()) == ([Money(150, "CNY")], False)


def test_the_day_is_added_up_per_unit_and_kind():
    look = look_at(busy_office())
    assert look.day_sums("taken") == [(cny(482_600), 2_413), (Money(12_400, "bonus"), 62)]
    assert look.day_sums("coins") == [(cny(31_800), 318)]


def test_all_who_wait_share_one_look():
    async def story():
        office, bell = CountingOffice(), Bell()
        watch = Watch(office, bell)
        first = await watch.look()
        waiting = [asyncio.create_task(watch.next_look(first)) for _ in range(20)]
        await asyncio.sleep(0)
        office.tap_rows = [tap_row(99)]
        bell.ring()
        looks = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert {look.taps[0].id for look in looks} == {"tap99"}
        assert office.asked == 2

    asyncio.run(story())


def test_a_page_that_missed_a_look_gets_the_last_one_at_once():
    async def story():
        watch = Watch(busy_office(), Bell())
        old = await watch.look()
        new = await watch.next_look(old)
        assert await watch.next_look(old) is new

    asyncio.run(story())
