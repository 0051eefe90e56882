"""Which notes are credit: each case written out; a repeated answer changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.ssp import Event, Say
from firmware_bridge.wire.ssp_credits import Booking, Tally, count_notes, unpack

EE = Event(Say.CREDIT, 3)
E2 = Event(Say.CLEARED_TO_CASHBOX, 3)
F1, EB, CC = Event(Say.RESET), Event(Say.STACKED), Event(Say.STACKING)
WAY = Tally(credits=5, told=1, moving=True, channel=3)

tallies = st.builds(Tally, st.integers(0, 2**40), st.integers(0, 7), st.booleans(), st.integers(0, 255))
events = st.lists(st.builds(Event, st.sampled_from(list(Say)), st.integers(0, 16)), max_size=12)


@pytest.mark.parametrize(
    ("tally", "heard", "booked", "after"),
    [
        (Tally(), [], [], Tally()),
        (Tally(), [CC, EE], [3], Tally(1, 1, True, 3)),
        (Tally(), [EE, EB], [3], Tally(1, 1, False, 3)),
        (Tally(), [F1, E2], [3], Tally(1, 1, False, 3)),
        (WAY, [EE], [], WAY),  # the same answer again
        (WAY, [EE, EB], [], Tally(5, 1, False, 3)),
        (WAY, [F1, E2], [], Tally(5, 1, False, 3)),  # it lost power before it heard that it was booked
        (WAY, [Event(Say.CREDIT, 4)], [4], Tally(6, 1, True, 4)),  # another note
        (WAY, [], [], Tally(5, 0, True, 3)),  # the answer behind it: it did hear
        (WAY.settled(), [F1, E2], [], Tally(5, 0, False, 3)),  # credited on its way, then swept into the box
        (WAY.settled(), [EB], [], Tally(5, 0, False, 3)),
        (WAY.settled(), [Event(Say.READ, 3)], [], Tally(5, 0, False, 3)),  # the next note: this one is in the box
        (WAY.settled(), [EE], [3], Tally(6, 1, True, 3)),
        (Tally(5, 0, False, 3), [F1, E2], [3], Tally(6, 1, False, 3)),  # taken while nobody was heard
        (Tally(), [EE, EE], [3, 3], Tally(2, 2, True, 3)),
        (Tally(1, 1, True, 3), [EE, EE], [3], Tally(2, 2, True, 3)),  # died between the two
        (Tally(), [EE, E2], [3], Tally(1, 1, False, 3)),  # one note, told twice in one answer
        (Tally(1, 1, False, 3), [EE, E2], [], Tally(1, 1, False, 3)),
        (Tally(), [Event(Say.PAID_IN_AT_POWER_UP)], [0], Tally(1, 1, False, 0)),
        (Tally(), [Event(Say.CLEARED_TO_FRONT, 3), Event(Say.FRAUD, 3), Event(Say.READ, 3)], [], Tally()),
    ],
)
def test_what_is_credit(tally, heard, booked, after):
    found = count_notes(tally, heard)
    assert [booking.channel for booking in found.bookings] == booked
    assert found.tally == after
    assert all(isinstance(booking, Booking) for booking in found.bookings)


@given(tallies)
def test_a_tally_is_one_number_that_rises_with_every_credit(tally):
    assert unpack(tally.packed()) == tally
    assert Tally(tally.credits + 1).packed() > tally.packed()


@given(tally=tallies.map(Tally.settled), heard=events)
def test_an_answer_that_is_given_again_books_nothing(tally, heard):
    once = count_notes(tally, heard)
    again = count_notes(once.tally, heard)
    if once.bookings:
        assert again.bookings == ()
        assert again.tally.credits == once.tally.credits


@given(tally=tallies.map(Tally.settled), heard=events, data=st.data())
def test_died_between_two_writes_the_repeated_answer_books_the_rest(tally, heard, data):
    once = count_notes(tally, heard)
    if once.bookings:
        written = data.draw(st.sampled_from(once.bookings))
        rest = count_notes(written.tally, heard)
        assert len(rest.bookings) == len(once.bookings) - once.bookings.index(written) - 1
