"""TOK-1: what each class of credential may do: with and without lease and floor, with the office near or far."""

import itertools

import pytest

from edge_agent.ledger import office_facts
from edge_agent.tap import taps
from edge_agent.tap.replay import replay
from payment_core.facts import read_packed
from payment_core.journal import Held
from tests.support.hall import Hall, commands, the_view, views
from tests.support.ledger_truth import entries
from tests.support.tokens import CARD_KEY, sun_tap

FLOOR = {"floor_per_credential": 200, "floor_per_hub": 400}
CAPS = {"classes": [{"class": "C", "per_tap": 250, "per_day": 400}]}


def expected(class_, *, proven, lease, floor, near):
    """Say in one place what security.md promises: A proves itself, floors serve A and B, C needs a lease."""
    if class_ == "A" and not proven:
        return "card_not_proven"
    if lease or near:
        return "sold"
    return "sold" if floor and class_ in "AB" else "offline_limit"


@pytest.mark.parametrize(
    ("class_", "proven", "lease", "floor", "near"),
    [
        (class_, proven, lease, floor, near)
        for class_, proven, lease, floor, near in itertools.product(
            "ABC", (True, False), (True, False), (True, False), (True, False)
        )
        if class_ == "A" or not proven
    ],
)
def test_the_matrix(tmp_path, class_, proven, lease, floor, near):
    hall = Hall(tmp_path / "l.db", risk=FLOOR if floor else {})
    media, key = ("ntag424", CARD_KEY) if class_ == "A" else ("ntag21x", b"")
    hall.step(hall.member("card", class_=class_, media=media, token_key=key))
    if lease:
        hall.step(hall.lease("card", 1_000))
    tap = sun_tap(hall, "card", counter=5) if class_ == "A" and proven else hall.tap("card")
    if class_ == "A" and not proven:
        tap = sun_tap(hall, "card", counter=5, key=bytes(16))
    effects = hall.step(tap)
    if near and not commands(effects) and not (class_ == "A" and not proven):
        effects = hall.wait(100, hall.lease("card", 1_000))
    if not commands(effects) and [view.state for view in views(effects)] != ["declined"]:
        effects = hall.wait(300)
    came = "sold" if commands(effects) else the_view(effects).reason
    assert came == expected(class_, proven=proven, lease=lease, floor=floor, near=near)
    hall.store.close()


def sold_without_proof(tmp_path):
    """Let a card of class A with a lease tap with a message of another key; return whether it played."""
    tmp_path.mkdir()
    hall = Hall(tmp_path / "l.db")
    hall.step(hall.member("card", class_="A", media="ntag424", token_key=CARD_KEY), hall.lease("card", 1_000))
    effects = hall.step(sun_tap(hall, "card", counter=5, key=bytes(16)))
    hall.store.close()
    return bool(commands(effects))


def test_a_build_that_believes_every_card_is_caught(tmp_path, monkeypatch):
    assert not sold_without_proof(tmp_path / "product")
    monkeypatch.setattr(taps, "prove", lambda *_all: "proven")
    assert sold_without_proof(tmp_path / "mutant")


def test_class_c_with_a_lease_has_the_venues_cap_per_card_and_day(tmp_path):
    hall = Hall(tmp_path / "l.db", risk=CAPS)
    hall.enroll("card", 10_000)
    came = []
    for _tap in range(4):
        hall.pass_ms(1_000)
        effects = hall.step(hall.tap("card"))
        came.append("sold" if commands(effects) else the_view(effects).reason)
    assert came == ["sold", "sold", "over_day_limit", "over_day_limit"]
    hall.store.close()


def test_a_counter_never_goes_back_here_also_after_a_restart(tmp_path):
    check_the_counter(tmp_path)


@pytest.mark.parametrize("survives", [0, 1], ids=["nothing is kept", "kept in memory alone"])
def test_a_build_whose_counter_goes_back_is_caught(tmp_path, monkeypatch, survives):
    seen: dict[tuple[object, bytes], int] = {}
    monkeypatch.setattr(
        office_facts, "take_token_counter", lambda store, card, count: seen.update({(store, card): count * survives})
    )
    monkeypatch.setattr(office_facts, "token_counter", lambda store, card: seen.get((store, card), -1))
    with pytest.raises(AssertionError):
        check_the_counter(tmp_path)


def check_the_counter(tmp_path):
    """TOK-4 at one hub; at the office back_office looks over all hubs."""
    hall = Hall(tmp_path / "l.db")
    hall.step(hall.member("card", class_="A", media="ntag424", token_key=CARD_KEY), hall.lease("card", 10_000))
    came = []
    for number, counter in enumerate((5, 5, 4, 6, 6)):
        hall.pass_ms(1_000)
        if number == 2:
            hall.restart()
            hall.step(*hall.arrivals())
        effects = hall.step(sun_tap(hall, "card", counter=counter))
        came.append("sold" if commands(effects) else the_view(effects).reason)
    assert came == ["sold", "card_not_proven", "card_not_proven", "sold", "card_not_proven"]
    hall.store.close()


def test_what_a_token_counted_is_in_its_entry_for_whoever_looks_for_clones(tmp_path):
    hall = Hall(tmp_path / "l.db")
    hall.step(hall.member("card", class_="A", media="ntag424", token_key=CARD_KEY), hall.lease("card", 10_000))
    hall.step(sun_tap(hall, "card", counter=5))
    held = next(entry for entry in entries(hall.store) if isinstance(entry, Held))
    assert read_packed(held.facts).token_counter == 5
    hall.store.close()


def shown_for(tmp_path, **row):
    """Let a card of class A whose key this hub was not told tap; return the reason on the page."""
    tmp_path.mkdir(exist_ok=True)
    hall = Hall(tmp_path / "l.db")
    hall.step(hall.member("card", class_="A", media="ntag424", **row), hall.lease("card", 1_000))
    effects = hall.step(sun_tap(hall, "card", counter=5))
    assert commands(effects) == []
    assert replay(hall.store).ok
    hall.store.close()
    return the_view(effects).reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"status": "lost"}, "card_lost"), ({"status": "blocked"}, "card_blocked"),
        ({"venues": (bytes(16),)}, "card_not_proven"), ({}, "card_not_proven"),
        ({"status": "lost", "token_key": bytes(16)}, "card_not_proven"), ({"token_key": b"short"}, "card_not_proven"),
    ],
)  # fmt: skip
def test_a_card_whose_key_was_taken_away_with_it_is_told_why(tmp_path, row, reason):
    assert shown_for(tmp_path, **row) == reason


def test_a_build_that_asks_a_lost_card_for_its_proof_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(taps, "prove", lambda *_all: "refused")
    assert shown_for(tmp_path, status="lost") != "card_lost"
