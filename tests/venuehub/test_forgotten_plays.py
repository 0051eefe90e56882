"""A disk that is copied between a hub's commit and its bridge's log: the play it gives back is that disk's loss."""

from venuehub.simulator.check_machines import machines_agree
from venuehub.simulator.evidence import journals
from venuehub.simulator.losses import losses_of
from venuehub.simulator.overspend import overspend
from venuehub.simulator.plan import PRICE, VenuePlan, lanes
from venuehub.simulator.run import stage_of
from venuehub.simulator.seeded_keys import seeded_keys
from venuehub.simulator.stage import ram_folder
from venuehub.simulator.venue import Venue
from venuehub.simulator.world import World


def test_a_play_that_a_put_back_log_forgot_is_a_loss_of_that_disk_and_no_free_play():
    with ram_folder() as folder, seeded_keys():
        venue = Venue(World(1, most_actions=100_000), stage_of(VenuePlan(hubs=1, accounts=2)), folder)
        venue.open()
        hub, bridge = venue.hubs[0], venue.bridges[0]
        venue.office.pay_in(1, 1_000, hub=0)
        venue.world.run(until_ms=6_000)

        def copy(_hub, _play):
            hub.disk.keep_image()
            bridge.copy_logs()
            hub.uplink.line.wall = "uplink-partition"

        hub.watch_play = copy
        venue.tap(0, lanes()[0].reader, 1)
        venue.world.run(until_ms=6_300)
        hub.watch_play = lambda _hub, _play: None
        venue.roll_back(0)
        venue.heal()
        venue.world.run(until_ms=40_000)
        left = journals(venue)
        assert sum(bridge.pulsed.values()) == 2
        assert list(machines_agree(venue, left)) == []
        assert losses_of(venue, left, unreported=[0]).rollback == PRICE
        assert overspend(venue, left, 0) == 0
        venue.close()
