"""A start chooses by what it finds: an installer's matter ends the program, a used ledger closes the door."""

import pytest

from edge_agent.ledger.store import CommitUnknownError, LedgerDamagedError, LedgerError
from edge_agent.ledger.tail_mark import TailMark
from edge_agent.start.opening import Opened, Place, Shut, after_fault, open_ledger


@pytest.fixture(name="place")
def place_fixture(tmp_path):
    place = Place(tmp_path / "state")
    place.make()
    return place


def use(place: Place) -> None:
    opened = open_ledger(place, epoch=3)
    assert isinstance(opened, Opened)
    assert opened.store.rows("SELECT value FROM meta WHERE key = 'epoch'") == [(3,)]
    opened.mark.close()
    opened.store.close()


def test_a_new_place_is_opened_with_ballast_and_mark(place):
    assert not place.was_used
    use(place)
    assert place.was_used
    assert place.ballast.held
    assert TailMark(place.mark).read() is not None


def test_words_where_no_ledger_ever_was_are_somebodys_mistake(place):
    place.ledger.write_text("a shopping list " * 100)
    with pytest.raises(LedgerError, match="cannot be opened as a ledger"):
        open_ledger(place, epoch=1)
    assert place.ledger.read_text().startswith("a shopping list")
    assert place.damage == ""


def test_words_where_a_ledger_was_are_damage_and_stay_so(place):
    use(place)
    place.ledger.write_text("a shopping list " * 100)
    for _ in range(2):
        found = open_ledger(place, epoch=1)
        assert isinstance(found, Shut)
        assert (found.fault, "not a database" in found.why) == ("damaged", True)
    assert place.ledger.read_text().startswith("a shopping list")


def test_a_ledger_that_is_gone_is_not_made_anew(place):
    use(place)
    place.ledger.unlink()
    found = open_ledger(place, epoch=1)
    assert isinstance(found, Shut)
    assert "is gone" in found.why
    assert not place.ledger.exists()


def test_a_ledger_of_a_later_release_is_a_persons_matter(place):
    use(place)
    opened = open_ledger(place, epoch=1)
    assert isinstance(opened, Opened)
    opened.store.rows("PRAGMA user_version=99")
    opened.store.close()
    with pytest.raises(LedgerError, match="Install the newer release"):
        open_ledger(place, epoch=1)
    assert place.damage == ""


def test_damage_found_later_is_remembered(place):
    use(place)
    assert open_ledger(place, epoch=1, damage="page 7") == Shut("damaged", "page 7")
    assert open_ledger(place, epoch=1) == Shut("damaged", "page 7")


def test_without_room_for_the_ballast_nothing_new_is_sold(place, monkeypatch):
    use(place)
    place.ballast.release()
    monkeypatch.setattr(place.ballast, "hold", lambda **_margin: False)
    found = open_ledger(place, epoch=1)
    assert isinstance(found, Opened)
    assert found.short
    found.store.close()


def test_a_till_that_fell_over_what_it_read_has_everything_checked_at_the_next_start(place):
    use(place)
    after_fault(place, KeyError("parts"))
    assert place.suspect()
    use(place)
    assert not place.suspect()


@pytest.mark.parametrize(
    ("error", "ballast", "damage", "suspect"),
    [
        (CommitUnknownError("full", "full"), False, "", False),
        (CommitUnknownError("io", "io"), True, "", False),
        (CommitUnknownError("read-only", "read_only"), True, "", False),
        (CommitUnknownError("malformed", "damaged"), True, "malformed", False),
        (CommitUnknownError("no such table", "unclear"), True, "", True),
        (LedgerDamagedError("entry 3"), True, "entry 3", False),
        (AssertionError("a bug"), True, "", True),
    ],
)
def test_a_fault_leaves_what_the_next_start_needs(place, error, ballast, damage, suspect):
    place.ballast.hold()
    after_fault(place, error)
    assert (place.ballast.held, place.damage, place.suspect()) == (ballast, damage, suspect)


def test_a_place_is_writable_only_with_its_ledger_in_it(place):
    assert not place.is_writable()
    use(place)
    assert place.is_writable()
    assert [file.name for file in place.folder.iterdir() if "probe" in file.name] == []
