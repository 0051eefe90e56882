"""Vending machines: the machine names the price, card and choice wait for each other, each choice is one sale."""

import itertools

import msgspec
import pytest

from device_profiles.loading import load_catalog
from edge_agent.messages import DeviceIs, DocumentArrived
from edge_agent.play import doubts
from edge_agent.step.site import Site
from edge_agent.tap import vending
from edge_agent.tap.replay import replay
from firmware_bridge.introductions import answer_ms_of, capabilities_of
from payment_core.accounts import Kind
from payment_core.bus import DeviceState
from payment_core.commands import ApproveVend, BeginSession, DenyVend, EndSession, command_body
from payment_core.events import CashSale, SessionEnded, VendRequested
from payment_core.facts import read_packed
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Held
from payment_core.recovery import RUNNING
from tests.support.hall import Hall, commands, devices_document, logged, the_command, the_view, views
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states

MOST = 1_000
RULE = {"price": [[MOST, "CNY"]], "asks": True, "tax_code": "vat6"}
PROFILE = load_catalog()["qibixx-vending"]
VENDS = capabilities_of(PROFILE)
numbers = itertools.count(1)


def machine(hall):
    """Return the birth that a bridge really says of such a machine."""
    born = hall.born(1, *VENDS)
    return msgspec.structs.replace(born, birth=msgspec.structs.replace(born.birth, answer_ms=answer_ms_of(PROFILE)))


def vend_hall(tmp_path, **risk):
    hall = Hall(tmp_path / "ledger.db", rules=(RULE,), risk={"answer_ms": 5_000, **risk})
    hall.step(machine(hall))
    hall.enroll("card-7", 800)
    hall.enroll("card-8", 2_000)
    return hall


@pytest.fixture
def hall(tmp_path):
    hall = vend_hall(tmp_path)
    yield hall
    assert faults_of(hall.store) == []
    assert replay(hall.store).ok
    hall.store.close()


def bodies(effects):
    """Return what devices are told; the number of the question is left out."""
    return [
        msgspec.structs.replace(body, number=0) if isinstance(body, ApproveVend | DenyVend) else body
        for body in map(command_body, commands(effects))
    ]


def session(hall, card="card-7"):
    command = the_command(hall.step(hall.tap(card)))
    assert isinstance(command_body(command), BeginSession)
    return command.id


def ask(hall, amount, name="", item=3):
    return hall.step(hall.event("coin-1", VendRequested(amount, item, name, next(numbers))))


def test_a_card_first_lets_its_guest_choose_for_what_he_has(hall):
    effects = hall.step(hall.tap("card-7"))
    assert bodies(effects) == [BeginSession(800)]
    view = the_view(effects)
    assert (view.state, view.price, view.balance_after) == ("choose", 800, 800)
    assert "Held" not in kinds(hall.store)


def test_another_card_ends_a_session_and_begins_its_own_when_the_machine_has(hall):
    name = session(hall)
    hall.pass_ms(1_000)
    tap = hall.tap("card-8")
    effects = hall.step(tap)
    assert (bodies(effects), the_view(effects).state) == ([EndSession()], "held")
    assert commands(hall.step(tap)) == [], "the same event again"
    assert bodies(ask(hall, 350, name)) == [DenyVend()], "who left pays nothing more"
    effects = hall.step(hall.event("coin-1", SessionEnded(name)))
    assert (bodies(effects), the_view(effects).state) == ([BeginSession(MOST)], "choose"), "no more than it may ask"
    assert bodies(ask(hall, 350, commands(effects)[0].id)) == [ApproveVend(350, 3)]
    assert (hall.balance("card-7"), hall.balance("card-8")) == (800, 1_650)


def test_a_machine_that_does_not_end_a_session_is_begun_anew(hall):
    session(hall)
    hall.pass_ms(1_000)
    hall.step(hall.tap("card-8"))
    assert bodies(hall.wait(1_999)) == []
    assert bodies(hall.wait(1)) == [BeginSession(MOST)]


def test_a_machine_that_gives_up_its_question_shows_its_page_again(hall):
    ask(hall, 350)
    assert the_view(hall.step(hall.event("coin-1", SessionEnded("")))).price == 0
    assert bodies(hall.step(hall.tap("card-7"))) == [BeginSession(800)]


def test_the_end_of_a_session_that_nobody_began_is_nothing(hall):
    nothing = hall.step(hall.event("coin-1", SessionEnded("")))
    name = session(hall)
    nothing += hall.step(hall.event("coin-1", SessionEnded("")), hall.event("coin-1", SessionEnded("of another time")))
    assert (bodies(nothing), views(nothing)) == ([], [])
    assert bodies(ask(hall, 350, name)) == [ApproveVend(350, 3)], "the session goes on"


def test_a_choice_is_a_sale_at_the_price_the_machine_asked(hall):
    name = session(hall)
    effects = ask(hall, 350, name)
    command = the_command(effects)
    assert bodies(effects) == [ApproveVend(350, 3)]
    assert (views(effects)[-1].state, views(effects)[-1].price) == ("held", 350)
    assert (views(effects)[-1].vends, views(effects)[-1].item) == (True, 3)
    (held,) = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert (read_packed(held.facts).asked, held.header.tax_code) == (350, "vat6")
    hall.step(hall.delivered(command))
    assert (hall.balance("card-7"), balance_of(hall.store, Kind.REVENUE, "racer-1")) == (450, 350)


def test_each_choice_of_a_session_is_a_sale_of_its_own(hall):
    name = session(hall)
    for amount in (350, 400):
        hall.step(hall.delivered(the_command(ask(hall, amount, name))))
    assert the_view(ask(hall, 100, name)).state == "fetching"
    effects = hall.wait(300)
    assert (bodies(effects)[-1], views(effects)[-1].reason) == (DenyVend(), "not_enough")
    assert hall.balance("card-7") == 50
    assert kinds(hall.store).count("Captured") == 2


def test_a_choice_that_comes_again_is_not_sold_again(hall):
    name = session(hall)
    event = hall.event("coin-1", VendRequested(350, 3, name))
    hall.step(event)
    assert commands(hall.step(event)) == []
    assert kinds(hall.store).count("Held") == 1


def test_a_failed_vend_puts_all_of_it_back(hall):
    command = the_command(ask(hall, 350, session(hall)))
    effects = hall.step(hall.answer(command, "failed"))
    assert (hall.balance("card-7"), the_view(effects).put_back) == (800, 350)


def test_what_a_machine_cannot_say_is_in_doubt_until_it_can(hall):
    command = the_command(ask(hall, 350, session(hall)))
    hall.step(hall.answer(command, "unknown"))
    assert balance_of(hall.store, Kind.SUSPENSE) == 350
    hall.step(hall.answer(command, "failed"))
    assert hall.balance("card-7") == 800


def test_a_restart_asks_about_the_vend_and_never_vends_again(hall):
    command = the_command(ask(hall, 350, session(hall)))
    hall.restart()
    hall.step()
    again = the_command(hall.step(machine(hall), DeviceIs("coin-1", DeviceState("online", 0))))
    assert (again.id, again.seq, again.ttl_ms) == (command.id, command.seq, 0)
    hall.step(hall.delivered(command))
    assert hall.balance("card-7") == 450


def test_a_choice_first_waits_for_a_card(hall):
    effects = ask(hall, 350)
    assert (commands(effects), the_view(effects).state, the_view(effects).price) == ([], "idle", 350)
    assert (the_view(effects).vends, the_view(effects).item) == (True, 3)
    hall.pass_ms(29_000)
    effects = hall.step(hall.tap("card-7"))
    assert bodies(effects) == [ApproveVend(350, 3)]
    assert [view.state for view in views(effects)] == ["idle", "held"]
    hall.step(hall.delivered(the_command(effects)))
    assert hall.balance("card-7") == 450
    assert bodies(hall.wait(1_000, hall.tap("card-7"))) == [BeginSession(450)], "the question is answered"


def test_who_cannot_pay_a_choice_leaves_it_to_the_next_card(hall):
    ask(hall, 900)
    hall.step(hall.tap("card-7"))
    assert the_view(hall.wait(300)).reason in ("not_enough", "offline_limit")
    assert bodies(hall.step(hall.tap("card-8"))) == [ApproveVend(900, 3)]


def test_a_choice_is_paid_once_though_two_cards_wanted_it(hall):
    ask(hall, 900)
    hall.step(hall.tap("card-7"))
    assert bodies(hall.step(hall.tap("card-8"))) == [ApproveVend(900, 3)]
    effects = hall.step(hall.lease("card-7", 1_000))
    assert (commands(effects), "vend.too_late" in logged(effects)) == ([], True)
    assert hall.balance("card-7") == 1_000


def test_a_build_that_pays_a_choice_twice_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(vending, "is_asked", lambda _draft, _tap: True)
    hall = vend_hall(tmp_path)
    with pytest.raises(AssertionError):
        test_a_choice_is_paid_once_though_two_cards_wanted_it(hall)


def test_a_build_that_sells_a_choice_again_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(vending, "_is_new", lambda _draft, _fact: True)
    hall = vend_hall(tmp_path)
    with pytest.raises(AssertionError):
        test_a_choice_that_comes_again_is_not_sold_again(hall)


def test_nobody_comes_and_the_machine_is_told(hall):
    ask(hall, 350)
    effects = hall.wait(30_000)
    assert (bodies(effects), the_view(effects).price) == ([DenyVend()], 0)
    name = session(hall)
    assert bodies(hall.wait(59_999)) == []
    assert bodies(hall.wait(1)) == [EndSession()]
    assert bodies(ask(hall, 350, name)) == [DenyVend()], "nobody stands there"
    assert "Held" not in kinds(hall.store)


def test_a_machine_that_ends_the_session_shows_its_page_again(hall):
    name = session(hall)
    assert the_view(hall.step(hall.event("coin-1", SessionEnded(name)))).state == "idle"
    assert bodies(ask(hall, 350, name)) == [DenyVend()]
    assert views(hall.step(hall.event("coin-1", SessionEnded(name)))) == []


def test_a_machine_that_takes_no_session_is_off(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    assert the_view(hall.step(hall.answer(command, "refused"))).reason == "machine_off"
    assert bodies(hall.wait(1_000, hall.tap("card-7"))) == [BeginSession(800)]


@pytest.mark.parametrize("gone", ["born", "off"])
def test_a_machine_that_starts_anew_or_goes_has_no_session(hall, gone):
    name = session(hall)
    if gone == "off":
        hall.step(DeviceIs("coin-1", DeviceState("fault", 0, reason="machine_off")))
    else:
        hall.boot_id = b"boot-9"
        hall.step(machine(hall))
    assert bodies(ask(hall, 350, name)) == [DenyVend()]
    assert "Held" not in kinds(hall.store)


def test_a_machine_may_ask_no_more_than_its_rule_says(hall):
    ask(hall, MOST + 1)
    view = the_view(hall.step(hall.tap("card-8")))
    assert (view.state, view.reason, view.price) == ("declined", "asks_too_much", MOST)


@pytest.mark.parametrize("card", ["nobody", "card-lost"])
def test_who_may_not_pay_at_all_need_not_choose(hall, card):
    hall.step(hall.member("card-lost", status="lost"))
    effects = hall.step(hall.tap(card))
    assert (commands(effects), the_view(effects).state) == ([], "declined")


def test_who_has_nothing_is_refused_before_he_chooses(hall):
    hall.enroll("poor")
    hall.step(hall.tap("poor"))
    effects = hall.wait(300)
    assert (commands(effects), the_view(effects).reason, the_view(effects).price) == ([], "offline_limit", 0)


def test_the_same_card_again_goes_on_choosing(hall):
    name = session(hall)
    assert commands(hall.wait(5_000, hall.tap("card-7"))) == []
    assert bodies(ask(hall, 350, name)) == [ApproveVend(350, 3)]
    assert commands(hall.wait(1_000, hall.tap("card-8"))) == [], "nobody is interrupted while the machine gives"


def test_a_rule_that_asks_sells_nothing_where_no_machine_asks(tmp_path):
    hall = Hall(tmp_path / "ledger.db", rules=(RULE,))
    hall.enroll("card-7", 5_000)
    assert the_view(hall.step(hall.tap("card-7"))).reason == "no_price"
    assert commands(hall.step(hall.coin(position=6), hall.coin(position=6))) == []
    assert hall.balance("card-7") == 5_000


def test_a_fixed_price_sells_nothing_where_the_machine_asks(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    hall.step(machine(hall))
    document = devices_document(1, version=2)
    assert the_view(hall.step(DocumentArrived("devices", 2, document))).price == 0, "and the page promises none"
    hall.enroll("card-7", 5_000)
    ask(hall, 100)
    assert the_view(hall.step(hall.tap("card-7"))).reason == "no_price"


def test_a_stale_choice_and_one_of_a_stranger_are_nothing(hall):
    old = hall.event("coin-1", VendRequested(350), age_ms=2_001)
    assert logged(hall.step(old)) == ["vend.stale"]
    assert logged(hall.step(hall.event("coin-2", VendRequested(350)))) == ["vend.no_lane"]


def test_every_sale_names_its_event_once(hall):
    name = session(hall)
    for amount in (100, 200, 300):
        hall.step(hall.delivered(the_command(ask(hall, amount, name))))
    held = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert len({(one.reader, one.event_epoch, one.event_seq) for one in held}) == 3
    assert set(states(hall.store)) == {one.header.authorization_id for one in held}


def test_cash_of_the_machines_own_stands_beside_it(hall):
    hall.step(hall.event("coin-1", CashSale(300, 4)))
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 300


def test_a_step_up_asks_before_the_machine_is_told(tmp_path):
    hall = vend_hall(tmp_path, step_up_over=300)
    name = session(hall)
    effects = ask(hall, 350, name)
    assert (bodies(effects), views(effects)[-1].reason) == ([DenyVend()], "second_factor_needed")
    assert bodies(ask(hall, 300, name)) == [ApproveVend(300, 3)]


def test_a_new_list_counts_from_the_next_choice(hall):
    name = session(hall)
    lower = {"version": 2, "unit": "CNY", "rules": [{**RULE, "price": [[300, "CNY"]]}]}
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(lower)))
    assert views(ask(hall, 350, name))[-1].reason == "asks_too_much"
    assert uuid_bytes(name) not in states(hall.store)


def test_a_fixed_price_that_the_page_showed_is_none_where_the_machine_asks_now(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    hall.step(machine(hall))
    hall.enroll("card-7", 800)
    asks = {"version": 2, "unit": "CNY", "rules": [RULE]}
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(asks)))
    assert bodies(hall.step(hall.tap("card-7"))) == [BeginSession(800)]


def favours_the_guest(hall):
    document = msgspec.json.decode(devices_document(2, version=2))
    for lane in document["lanes"]:
        lane["on_doubt"] = "favour_guest"
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)), machine(hall))


def brews_for_two_minutes(tmp_path, *, restarts=False):
    """Let a vend last as long as its profile allows, where doubts go to the guest and times are the defaults."""
    hall = vend_hall(tmp_path, answer_ms=10_000, doubt_cap_per_credential=5_000, doubt_cap_per_day=50_000)
    favours_the_guest(hall)
    command = the_command(ask(hall, 350, session(hall)))
    if restarts:
        hall.restart()
        hall.step()
    for second in range(119):
        effects = hall.wait(1_000, *([machine(hall)] if restarts and second == 1 else []))
        for question in commands(effects):
            if question.id == command.id:  # the bridge says that its driver is still at it
                hall.step(hall.answer(question, "unknown", amount=0, reason=RUNNING))
    hall.step(hall.delivered(command))
    assert (hall.balance("card-7"), balance_of(hall.store, Kind.REVENUE, "racer-1")) == (450, 350)
    assert not {"Voided", "LateEvidence"} & set(kinds(hall.store))
    return hall


def test_a_slow_machine_is_not_paid_back_while_it_gives(tmp_path):
    """VND-2: nobody doubts a vend before the time that its page allows is over."""
    assert "InDoubt" not in kinds(brews_for_two_minutes(tmp_path).store)


def test_a_hub_that_starts_in_mid_vend_hears_that_it_runs_and_waits_on(tmp_path):
    brews_for_two_minutes(tmp_path, restarts=True)


@pytest.mark.parametrize(("name", "restarts"), [("answer_ms", False), ("wait_on", True)])
def test_a_build_that_does_not_wait_for_a_slow_machine_is_caught(tmp_path, monkeypatch, name, restarts):
    broken = {"answer_ms": lambda self, _device: self.risk.answer_ms, "wait_on": lambda *_, **__: None}
    monkeypatch.setattr(Site, name, broken[name])
    monkeypatch.setattr(doubts, "can_tell", lambda _capabilities: False)
    with pytest.raises(AssertionError):
        test_a_slow_machine_is_not_paid_back_while_it_gives(tmp_path) if not restarts else brews_for_two_minutes(
            tmp_path, restarts=True
        )


def test_what_runs_is_not_decided_by_policy_also_where_no_device_can_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(doubts, "can_tell", lambda _capabilities: False)
    brews_for_two_minutes(tmp_path, restarts=True)


def test_a_board_that_can_still_tell_is_waited_for_and_one_that_cannot_is_not(tmp_path):
    """VND-3: a bridge that died in mid-vend reads the board; policy has no say before it says that it cannot."""
    hall = vend_hall(tmp_path, answer_ms=10_000, doubt_cap_per_credential=5_000, doubt_cap_per_day=50_000)
    favours_the_guest(hall)
    command = the_command(ask(hall, 350, session(hall)))
    hall.step(hall.answer(command, "unknown", amount=0, reason="driver_ended"))
    hall.wait(61_000)
    hall.wait(61_000)
    assert kinds(hall.store)[-1] == "InDoubt"
    hall.step(hall.answer(command, "unknown", amount=0, reason="no_result"))
    hall.wait(61_000)
    assert (kinds(hall.store)[-1], hall.balance("card-7")) == ("Voided", 800)


def test_yes_and_no_name_the_question_that_they_answer(hall):
    """A yes that comes late must not be one to the next guest's choice."""
    name = session(hall)
    for number, (amount, body) in enumerate([(350, ApproveVend(350, 3, 901)), (MOST + 1, DenyVend(902))], 901):
        effects = hall.step(hall.event("coin-1", VendRequested(amount, 3, name, number)))
        assert [command_body(command) for command in commands(effects)] == [body]
    hall.step(hall.event("coin-1", SessionEnded(name)), hall.event("coin-1", VendRequested(100, 3, "", 903)))
    assert [command_body(command) for command in commands(hall.wait(30_000))] == [DenyVend(903)]


def test_a_session_does_not_end_while_the_machine_gives_and_the_guest_may_choose_again(hall):
    name = session(hall)
    hall.step(machine(hall))
    sale = the_command(ask(hall, 350, name))
    assert [bodies(hall.wait(30_000)) for _half in range(3)] == [[], [], []], "it makes coffee for 90 s"
    hall.step(hall.delivered(sale))
    assert bodies(ask(hall, 400, name)) == [ApproveVend(400, 3)]


def test_questions_without_a_number_are_told_apart(tmp_path):
    hall = vend_hall(tmp_path, ask_ms=2_000)
    hall.step(hall.event("coin-1", VendRequested(900, 7)))
    assert the_view(hall.step(hall.tap("card-7"))).state == "fetching"
    hall.step(hall.event("coin-1", SessionEnded("")), hall.event("coin-1", VendRequested(200, 1)))
    assert bodies(hall.step(hall.lease("card-7", 1_000, epoch=2))) == [], "the money came for what is asked no more"
    asked = hall.event("coin-1", VendRequested(300, 1))
    hall.step(asked)
    told = command_body(the_command(hall.wait(1_000, hall.tap("card-8"))))
    assert told == ApproveVend(300, 1, asked.event.seq)
    hall.store.close()
