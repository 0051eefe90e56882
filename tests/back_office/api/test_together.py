"""OPS-2: of many who give the same payment back at the same time, one does; on either database."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from back_office.api.gate import MOST_AT_ONCE
from tests.support.sizes import count

pytestmark = pytest.mark.long
MANY = 20 + count(30)
WISH = {"channel": "counter", "payment": "p1", "amount": 1_000}


def all_together(api, key, names):
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        return list(pool.map(lambda name: api.post("/refunds", key, WISH, once=name), names))


def test_of_many_at_the_same_time_exactly_one_is_done(api, office):
    office.top_up(1_000)
    key = api.key()
    answers = all_together(api, key, ["n1"] * MANY)
    assert {(one.status, one.body) for one in answers} == {(201, answers[0].body)}
    assert office.purse() == 0
    others = all_together(api, key, [f"m{number}" for number in range(MANY)])
    assert {one.status for one in others} == {409}
    assert office.prove().ok


def test_of_many_names_at_the_same_time_exactly_one_is_done(api, office):
    office.top_up(1_000)
    answers = all_together(api, api.key(), [f"m{number}" for number in range(MANY)])
    assert sorted(one.status for one in answers) == [201, *[409] * (MANY - 1)]
    assert (office.purse(), office.prove().ok) == (0, True)
