"""What a lane shows at a moment."""

import pytest

from edge_agent.terminal.board import BALANCE_MS, LANGUAGE_MS, SHOWN_MS, Board
from payment_core.bus import View

START_MS = 5_000


def view(state, **changes):
    usual = {"at_ms": 0, "unit": "CNY", "price": 200, "machine": "racer-2"}
    return View(state=state, **{**usual, **changes})


@pytest.fixture
def board():
    return Board("racer-2", default_language="zh-Hans", languages=("zh-Hans", "en"))


def shown(board, at_ms, *, connected=True):
    return board.screen(at_ms, connected=connected)


def test_before_the_hub_has_spoken_the_lane_waits(board):
    assert shown(board, START_MS).state == "waiting"


def test_idle_shows_the_price_of_the_next_play(board):
    board.on_view(view("idle", price=300), START_MS)
    screen = shown(board, START_MS)
    assert (screen.state, screen.price, screen.balance_after) == ("idle", 300, None)


@pytest.mark.parametrize(
    "state", ["fetching", "choose", "held", "approved", "declined", "in_doubt", "voided", "repeated"]
)
def test_a_result_stands_its_time_and_the_price_comes_back(board, state):
    board.on_view(view("idle", price=300), START_MS)
    board.on_view(view(state), START_MS)
    assert shown(board, START_MS + SHOWN_MS[state] - 1).state == state
    after = shown(board, START_MS + SHOWN_MS[state])
    assert (after.state, after.price) == ("idle", 300)


def test_a_price_that_follows_at_once_does_not_wipe_the_result(board):
    board.on_view(view("approved"), START_MS)
    board.on_view(view("idle", price=300), START_MS + 50)
    assert shown(board, START_MS + 1_000).state == "approved"
    assert shown(board, START_MS + SHOWN_MS["approved"]).price == 300


def test_a_price_ends_a_hold(board):
    board.on_view(view("held"), START_MS)
    board.on_view(view("idle"), START_MS + 50)
    assert shown(board, START_MS + 60).state == "idle"


def test_balance_and_name_are_covered_after_ten_seconds(board):
    board.on_view(view("in_doubt", balance_before=4_800, balance_after=4_600, masked_name="王**"), START_MS)
    before = shown(board, START_MS + BALANCE_MS - 1)
    assert (before.balance_before, before.balance_after, before.masked_name) == (4_800, 4_600, "王**")
    after = shown(board, START_MS + BALANCE_MS)
    assert (after.state, after.balance_before, after.balance_after) == ("in_doubt", None, None)
    assert (after.balance_covered, after.masked_name) == (True, "")


def test_choosing_ends_with_the_session_and_its_sum_is_no_price(board):
    board.on_view(view("choose", price=4_500), START_MS)
    assert shown(board, START_MS).state == "choose"
    board.on_view(view("idle", price=0), START_MS + 1)
    assert (shown(board, START_MS + 1).state, shown(board, START_MS + 1).price) == ("idle", 0)


def test_without_the_broker_every_state_is_reconnecting(board):
    board.on_view(view("approved", balance_after=4_600), START_MS)
    screen = shown(board, START_MS, connected=False)
    assert (screen.state, screen.balance_after) == ("reconnecting", None)


def test_a_result_the_broker_kept_is_not_shown_to_the_next_guest(board):
    board.on_kept_view(view("approved", balance_after=4_600, masked_name="王**"))
    screen = shown(board, START_MS)
    assert (screen.state, screen.balance_after, screen.masked_name) == ("idle", None, "")


def test_a_price_that_was_paid_stands_in_until_the_hub_names_one(board):
    board.on_kept_view(view("approved", price=250))
    assert (shown(board, START_MS).state, shown(board, START_MS).price) == ("idle", 250)
    board.on_view(view("idle", price=300), START_MS)
    board.on_view(view("approved", price=250), START_MS)
    assert shown(board, START_MS + SHOWN_MS["approved"]).price == 300


HOLD = {"balance_before": 4_800, "balance_after": 4_600, "masked_name": "王**", "language": "en"}


@pytest.mark.parametrize(
    ("state", "after", "before"), [("approved", 4_600, 4_800), ("in_doubt", 4_600, 4_800), ("voided", 4_800, None)]
)
def test_the_end_of_a_play_keeps_what_its_hold_said(board, state, after, before):
    board.on_view(view("held", **HOLD), START_MS)
    board.on_view(view("repeated"), START_MS + 100)
    board.on_view(view(state, balance_after=after), START_MS + 300)
    screen = shown(board, START_MS + 300)
    assert (screen.balance_before, screen.balance_after) == (before, after)
    assert (screen.masked_name, screen.language) == ("王**", "en")


@pytest.mark.parametrize("after", [None, 9_900])
def test_the_end_of_somebody_elses_play_does_not(board, after):
    board.on_view(view("held", **HOLD), START_MS)
    board.on_view(view("approved", balance_after=after), START_MS + 300)
    screen = shown(board, START_MS + 300)
    assert (screen.balance_before, screen.balance_after, screen.masked_name) == (None, after, "")


def test_the_next_guests_refusal_keeps_nothing_of_the_last_ones_play(board):
    board.on_view(view("held", balance_before=4_800, balance_after=4_600, masked_name="王**"), START_MS)
    board.on_view(view("declined", reason="unknown_card"), START_MS + 900)
    screen = shown(board, START_MS + 900)
    assert (screen.balance_before, screen.balance_after, screen.masked_name) == (None, None, "")


def test_a_price_the_broker_kept_is_shown(board):
    board.on_kept_view(view("idle", price=400, offline=True))
    assert (shown(board, START_MS).price, shown(board, START_MS).offline) == (400, True)


def test_a_picked_language_lasts_thirty_seconds(board):
    board.on_view(view("idle"), START_MS)
    board.pick_language("en", START_MS)
    assert shown(board, START_MS + LANGUAGE_MS - 1).language == "en"
    assert shown(board, START_MS + LANGUAGE_MS).language == "zh-Hans"


def test_a_tap_keeps_the_picked_language_alive(board):
    board.pick_language("en", START_MS)
    board.on_view(view("approved"), START_MS + LANGUAGE_MS - 1)
    assert shown(board, START_MS + LANGUAGE_MS + 1).language == "en"


def test_a_member_reads_the_result_in_their_own_language(board):
    board.on_view(view("idle"), START_MS)
    board.on_view(view("approved", language="en"), START_MS)
    assert shown(board, START_MS).language == "en"
    assert shown(board, START_MS + SHOWN_MS["approved"]).language == "zh-Hans"


def test_a_language_without_texts_falls_back_to_the_venues(board):
    board.on_view(view("approved", language="th"), START_MS)
    assert shown(board, START_MS).language == "zh-Hans"


def test_the_next_change_is_the_earliest_of_all(board):
    assert board.next_change_ms(START_MS) is None
    board.on_view(view("in_doubt"), START_MS)
    assert board.next_change_ms(START_MS) == START_MS + 10_000
    assert board.next_change_ms(START_MS + 10_000) == START_MS + 60_000
    board.pick_language("en", START_MS + 20_000)
    assert board.next_change_ms(START_MS + 20_000) == START_MS + 50_000
    assert board.next_change_ms(START_MS + 60_000) is None


def test_an_item_that_a_hold_named_is_that_of_its_end(board):
    board.on_view(view("held", vends=True, item=9, balance_after=600), START_MS)
    board.on_view(view("approved", vends=True, balance_after=600), START_MS + 50)
    screen = shown(board, START_MS + 60)
    assert (screen.state, screen.vends, screen.item) == ("approved", True, 9)


def test_what_somebody_paid_a_vending_machine_is_no_price_of_the_next(board):
    board.on_view(view("held", vends=True, item=9), START_MS)
    board.on_view(view("idle", vends=True, price=0), START_MS + 50)
    assert not shown(board, START_MS + 60).price
    fresh = Board("racer-2", default_language="en", languages=("en",))
    fresh.on_kept_view(view("approved", vends=True))
    assert shown(fresh, START_MS).state == "waiting"
