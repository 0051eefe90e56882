"""What the hub knows of devices: ready means introduced, online, and behind a bridge that is there."""

import msgspec
import pytest

from edge_agent.messages import DocumentArrived, Show
from edge_agent.step.site import Site
from payment_core.bus import Birth, DeviceState
from payment_core.pricing import LocalTime
from tests.support.hall import Hall


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    yield made
    made.store.close()


def make_site():
    site = Site(hub_id=bytes(16), venue_id=bytes(16), pepper=b"p", epoch=1)
    site.births["coin-1"] = Birth("arcade-coin-line", 1, "boot", "hall")
    return site


def test_a_device_is_ready_once_it_is_online():
    site = make_site()
    assert not site.ready("coin-1")
    site.states["coin-1"] = DeviceState("online", 0)
    assert site.ready("coin-1")
    assert not site.ready("coin-2")


def test_a_device_behind_a_lost_bridge_is_not_ready_although_its_own_state_says_online():
    site = make_site()
    site.states["coin-1"] = DeviceState("online", 0)
    site.states["hall"] = DeviceState("offline", 0)
    assert not site.ready("coin-1")
    site.states["hall"] = DeviceState("online", 0)
    assert site.ready("coin-1")


def test_a_slow_machine_keeps_no_other_from_being_overdue():
    site = make_site()
    site.births["coin-2"] = Birth("qibixx-vending", 1, "boot", "hall", answer_ms=125_000)
    for device in ("coin-2", "coin-1"):
        site.wait_for(device.encode(), site.answer_ms(device))
    assert site.overdue(10_000) == [b"coin-1"]
    assert site.overdue(125_000) == [b"coin-2"]


def test_answers_are_overdue_in_the_order_they_were_asked_for():
    site = make_site()
    site.wait_for(b"a", 100)
    site.wait_for(b"b", 200)
    site.wait_for(b"a", 300)
    assert site.overdue(250) == [b"b"]
    assert site.waiting == 1
    site.stop_waiting(b"a")
    assert site.overdue(999) == []


def test_a_price_band_that_begins_is_shown_at_once_where_nobody_plays(hall):
    prices = {
        "version": 2,
        "unit": "CNY",
        "rules": [{"price": [[200, "CNY"]]}, {"price": [[100, "CNY"]], "band": "early"}],
        "bands": [{"name": "early", "from_minute": 601, "to_minute": 700}],
    }
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(prices)))
    hall.local = LocalTime(6, 601)
    shown = [(effect.lane, effect.view.price) for effect in hall.step() if isinstance(effect, Show)]
    assert shown == [("lane-1", 100), ("lane-2", 100)]
    assert hall.step() == []
