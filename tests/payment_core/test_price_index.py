"""Many rules, lanes and members cost no more than one of each: few rules are looked at, and once while time stands."""

from payment_core.money import Money
from payment_core.price_calendar import Band, LocalTime
from payment_core.price_index import PriceIndex
from payment_core.pricing import PriceList, PriceRule, find_price

LANES, TIERS, RULES = 200, 4, 500


def a_big_list():
    rules = [PriceRule((Money(200, "CNY"),)), PriceRule((Money(150, "CNY"),), band="happy")]
    for n in range(RULES - 2):
        names = ({"machine": f"racer-{n % LANES}"}, {"machine": f"racer-{n % LANES}", "tier": f"tier-{n % TIERS}"})
        rules.append(PriceRule((Money(n + 1, "CNY"),), **names[n % 2]))
    return PriceList(1, "CNY", tuple(rules), bands=(Band("happy", 600, 720),))


class Counting(PriceIndex):
    """An index that counts how often a price had to be found, and the most rules that were looked at for one."""

    finds = most = 0

    def find(self, asked, local):
        self.finds += 1
        self.most = max(self.most, len(self._at_place(asked)))
        return super().find(asked, local)


def test_a_price_is_found_once_for_each_lane_and_tier_while_time_means_the_same():
    prices = a_big_list()
    index = Counting(prices.rules, bands=prices.bands, no_clock_band="", machine_groups={})
    prices.__dict__["index"] = index
    for minute in range(540, 780):
        for member in range(minute, minute + 40):
            lane, tier = member % LANES, member * 7 % TIERS
            local = LocalTime(1, minute, 20260105)
            assert find_price(prices, machine=f"racer-{lane}", zone="hall", local=local, tier=f"tier-{tier}")
    assert index.finds <= 3 * LANES  # before, in and after the happy hour; a lane meets one tier here
    assert index.most <= 2 + RULES // LANES + 1


def test_the_index_is_built_once_and_is_no_part_of_the_list():
    prices = a_big_list()
    assert prices.index is prices.index
    assert prices == a_big_list()
