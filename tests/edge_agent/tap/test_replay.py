"""Replay: every decision of a journal comes out the same, from the ledger alone; what was changed is named."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.messages import DocumentArrived
from edge_agent.tap.replay import replay
from payment_core.credential import Right
from payment_core.facts import read_packed
from payment_core.journal import Declined, Held, encode_entry
from payment_core.pricing import LocalTime
from tests.support.hall import Hall, commands, prices_document
from tests.support.ledger_truth import entries

RISK = {
    "floor_per_credential": 400, "floor_per_hub": 600, "velocity": {"window_ms": 60_000, "count": 3, "amount": 900},
    "classes": [{"class": "C", "per_tap": 500, "per_day": 800}], "hub_count": 8, "minor_closing_minute": 1_200,
}  # fmt: skip
PRICES = [{"price": [[300, "bonus"], [200, "CNY"]]}, {"price": [[150, "CNY"]], "tier": "gold", "tax_code": "vat"}]


def told(hall):
    """Let many kinds of guests tap, and documents change between."""
    hall.step(
        hall.member("gold", tier="gold"), hall.lease("gold", 1_000),
        hall.member("minor", age_band="minor"), hall.lease("minor", 500),
        hall.member("finger", class_="B"), hall.member("poor"), hall.lease("poor", 20),
        hall.member("pass", rights=(Right("", 2**50, 9_000),)),
        hall.member("lost", status="lost"), hall.member("bonus"), hall.lease("bonus", 99, unit="bonus"),
        hall.lease("bonus", 900),
    )  # fmt: skip
    for card in ("gold", "minor", "finger", "poor", "pass", "lost", "bonus", "nobody", "gold", "pass", "gold", "gold"):
        for command in commands(hall.wait(1_000, hall.tap(card))):
            hall.step(hall.delivered(command))
    hall.step(DocumentArrived("prices", 2, prices_document([{"price": [[100, "CNY"]]}], 2)))
    hall.local = LocalTime(6, 1_300)
    for card in ("minor", "finger", "gold", "bonus"):
        hall.wait(1_000, hall.tap(card, 2))
    hall.wait(1_000)


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db", rules=PRICES, risk=RISK)
    told(hall)
    yield hall
    hall.store.close()


def decided(hall):
    return [entry for entry in entries(hall.store) if isinstance(entry, Held | Declined)]


def test_every_decision_comes_out_the_same(hall):
    report = replay(hall.store)
    assert (report.differences, report.without_facts, report.without_documents) == ((), 0, 0)
    assert report.decided == len(decided(hall))
    reasons = {entry.reason for entry in decided(hall) if isinstance(entry, Declined)}
    assert reasons == {
        "not_enough", "card_lost", "unknown_card", "pass_resting", "too_young_now", "too_fast", "hub_limit",
    }  # fmt: skip
    assert {entry.right for entry in decided(hall) if isinstance(entry, Held)} == {"", "pass:"}


def forged(hall, seq, entry):
    """Write another entry in a place of the journal, as no code of ours can."""
    hall.store.execute("DROP TRIGGER entries_only_append")
    hall.store.execute("UPDATE entries SET record = ? WHERE seq = ?", (encode_entry(entry), seq))


@pytest.mark.parametrize("what", ["parts", "reason", "facts", "tax"])
def test_what_was_changed_is_named(hall, what):
    held = next(entry for entry in decided(hall) if isinstance(entry, Held) and entry.parts)
    declined = next(entry for entry in decided(hall) if isinstance(entry, Declined))
    cheaper = (msgspec.structs.replace(held.parts[0], amount=1),)
    other = msgspec.structs.replace(declined.header, seq=held.header.seq)
    change = {
        "parts": lambda: msgspec.structs.replace(held, parts=cheaper),
        "reason": lambda: msgspec.structs.replace(declined, header=other, reason="too_fast"),
        "facts": lambda: msgspec.structs.replace(held, facts=b"\x93\x09\x00\x00"),
        "tax": lambda: msgspec.structs.replace(held, header=msgspec.structs.replace(held.header, tax_code="none")),
    }[what]
    forged(hall, held.header.seq, change())
    (difference,) = replay(hall.store).differences
    assert difference.seq == held.header.seq
    assert difference.was != difference.now


def test_entries_from_before_facts_are_counted_and_left_alone(hall):
    held = next(entry for entry in decided(hall) if isinstance(entry, Held))
    forged(hall, held.header.seq, msgspec.structs.replace(held, facts=b""))
    assert (replay(hall.store).without_facts, replay(hall.store).ok) == (1, True)


def test_a_document_that_is_gone_is_no_difference(hall):
    hall.store.execute("DELETE FROM document_archive WHERE name = 'prices' AND version = 1")
    report = replay(hall.store)
    assert (report.without_documents, report.ok) == (len(decided(hall)) - 4, True)


def test_another_price_list_under_the_same_version_is_a_difference(hall):
    content = prices_document([{"price": [[300, "bonus"], [200, "CNY"]]}], 1)
    hall.store.execute("UPDATE document_archive SET content = ? WHERE name = 'prices' AND version = 1", (content,))
    assert len(replay(hall.store).differences) == len(decided(hall)) - 4


def test_a_shown_price_that_is_honoured_comes_out_the_same(tmp_path):
    hall = Hall(tmp_path / "l.db", rules=[{"price": [[200, "CNY"]]}])
    hall.enroll("card-7", 1_000)
    hall.step(DocumentArrived("prices", 2, prices_document([{"price": [[900, "CNY"]]}], 2)))
    hall.step(hall.tap("card-7"))
    held = decided(hall)[-1]
    assert (held.parts[0].amount, held.header.price_list_version) == (200, 1)
    assert (replay(hall.store).decided, replay(hall.store).ok) == (1, True)
    hall.store.close()


def test_a_check_that_changes_is_seen(hall, monkeypatch):
    monkeypatch.setattr("payment_core.decision._ASKED", ())
    assert {difference.was.split()[0] for difference in replay(hall.store).differences} >= {"declined"}


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32), taps=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 2))))
def test_whatever_is_tapped_replays(tmp_path_factory, seed, taps):
    hall = Hall(tmp_path_factory.mktemp("replay") / "l.db", rules=PRICES, risk=RISK, seed=seed)
    hall.step(hall.member("a"), hall.lease("a", 500), hall.member("b", class_="B"), hall.member("c", day_limit=300))
    for card, lane in taps:
        hall.wait(seed % 2_000, hall.tap(card, lane))
    hall.wait(400)
    report = replay(hall.store)
    assert (report.ok, report.decided) == (True, len(decided(hall)))
    for entry in decided(hall):
        assert read_packed(entry.facts).version == 1
        assert len(entry.facts) < 200
    hall.store.close()
