"""BIO-3: a guest takes his consent back while three of six hubs are away; all six delete him, and prove it."""

import pytest

from back_office.ledger.list_changes import change_list
from back_office.members.consents import keep_consents, pending, withdraw
from back_office.store import consents, people, places
from back_office.store.consents import Ended
from back_office.store.people import Credential, GuestAccount
from edge_agent.desk.modules import AGAIN_MS
from edge_agent.messages import ListArrived
from edge_agent.till import Till
from tests.back_office.world import TENANT, Office
from tests.support.hall import account_of, credential_of, the_view
from tests.support.ledger_truth import entries
from tests.support.person_desk import FINGER, PersonHall, told

pytestmark = pytest.mark.long
HUBS = 6
AWAY = (1, 3, 5)


class DeafTill(Till):
    """Broken on purpose: it hears the list and looks at no finger for it."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._modules._end_what_is_out_of_use = lambda _draft: None


class Town:
    """An office and six halls, each with a module of its own; letters are what both sides write, unsealed."""

    def __init__(self, folder, till):
        self.office = Office(folder)
        self.halls, self.ids, self.told = [], [], [0] * HUBS
        with self.office.store.writing() as tx:
            people.add_account(tx, TENANT, GuestAccount(account_id=account_of("card-7"), created_ms=0))
            card = Credential(credential_id=credential_of("card-7"), account_id=account_of("card-7"), media="ntag21x",
                              class_="C", version=1)  # fmt: skip
            people.add_credential(tx, TENANT, card)
        for number in range(HUBS):
            hub_id = bytes.fromhex(f"019399a00000700080000000000001{number:02}")
            self.office.enroll(hub_id, f"hall-{number}")
            hall = PersonHall(folder / f"ledger-{number}.db", till=till, hub_id=hub_id, seed=number)
            hall.serials = {FINGER: f"VH00000{number}"}
            hall.held = {f"VH00000{number}": set()}
            hall.step(*hall.modules())
            self.halls.append(hall)
            self.ids.append(hub_id)

    def exchange(self, number):
        """Let a hub hear the list, do what follows, and tell the office of it."""
        hall = self.halls[number]
        with self.office.store.reading() as tx:
            rows, version = people.list_rows(tx, TENANT), people.list_version(tx, TENANT)
        hall.serve(hall.wait(1_000, ListArrived(version, full=True, base_version=0, rows=tuple(rows))))
        news = entries(hall.store)[self.told[number] :]
        self.told[number] += len(news)
        with self.office.store.writing() as tx:
            hub = places.hub(tx, TENANT, self.ids[number])
            now_ms = hall.wall_ms
            found = change_list(tx, TENANT, hub, news, now_ms=now_ms)
            assert found + keep_consents(tx, TENANT, self.ids[number], news, now_ms=now_ms) == []

    def take_back(self):
        with self.office.store.writing() as tx:
            return withdraw(tx, TENANT, account_of("card-7"), Ended(self.halls[0].wall_ms, "ann"))

    def pending(self):
        with self.office.store.reading() as tx:
            return {self.ids.index(one.hub_id) for one in pending(tx, TENANT)}

    def held(self):
        return {number for number, hall in enumerate(self.halls) if any(hall.held.values())}

    def certificates(self):
        with self.office.store.reading() as tx:
            return sum(one.deleted_ms is not None for one in consents.templates(tx, TENANT))


def all_forget(folder, till=Till):
    town = Town(folder, till)
    for number, hall in enumerate(town.halls):
        town.exchange(number)
        hall.enrolled(page=7)
        town.exchange(number)
    assert (len(town.held()), town.pending()) == (HUBS, set())
    taken = town.take_back()
    for number in set(range(HUBS)) - set(AWAY):
        town.exchange(number)
        town.exchange(number)
    shown = (taken, town.pending(), town.held(), town.certificates())
    for number in AWAY:
        hall = town.halls[number]
        hall.restart()
        hall.step(*hall.arrivals())
        town.exchange(number)  # its module is not there yet: the hub alone knows that it owes a deletion
        assert told(hall.effects) == []
        hall.restart()
        hall.step(*hall.arrivals(), *hall.modules())
        hall.serve(hall.wait(AGAIN_MS))
        town.exchange(number)
    paid = [the_view(hall.touch(7)).state for hall in town.halls]
    ends = (town.pending(), town.held(), town.certificates())
    for hall in town.halls:
        hall.store.close()
    town.office.store.close()
    return shown, ends, set(paid)


def test_bio3_all_hubs_forget_also_those_that_were_away_and_what_is_pending_is_shown(tmp_path):
    shown, ends, paid = all_forget(tmp_path)
    assert shown == (HUBS, set(AWAY), set(AWAY), HUBS - len(AWAY))
    assert ends == (set(), set(), HUBS)
    assert paid == {"declined"}


def test_bio3_a_build_that_does_not_look_at_the_list_is_caught(tmp_path):
    shown, _, _ = all_forget(tmp_path, DeafTill)
    assert shown[1] == shown[2] == set(range(HUBS))
