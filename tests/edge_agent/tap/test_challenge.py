"""TOK-2: above an amount a card proves that it lies there now, to a nonce that never repeats."""

import os
import random

import msgspec
import pytest

from edge_agent.messages import Answered, Born, DocumentArrived
from edge_agent.step.draft import Draft
from edge_agent.tap import challenge, token_proof
from edge_agent.tap.challenge import CHALLENGE_MS, Challenges
from payment_core.bus import Birth
from payment_core.commands import Result
from payment_core.events import event_body
from payment_core.facts import read_packed
from payment_core.journal import Declined, Held
from tests.support.hall import PRICE, Hall, commands, credential_of, logged, the_command, the_view, uid_of
from tests.support.ledger_truth import entries
from tests.support.sizes import count
from tests.support.tokens import CARD_KEY, RelayingReader, sun_tap

ALWAYS = {"challenge_over": 0}


def hall_of(tmp_path, *, risk=ALWAYS, relays=True) -> Hall:
    hall = Hall(tmp_path / "l.db", risk=risk)
    capabilities = ("Transceive",) if relays else ()
    hall.step(Born("reader-1", Birth("pn532-uart", 1, "boot-1", "bridge-1", capabilities=capabilities)))
    hall.step(hall.member("card", class_="A", media="ntag424", token_key=CARD_KEY), hall.lease("card", 1_000_000))
    return hall


def outcome(effects) -> str:
    sold = [command for command in commands(effects) if command.kind == "PulseCredit"]
    return "sold" if sold else the_view(effects).reason


def test_a_card_that_answers_plays_and_nothing_else_is_written(tmp_path):
    hall, reader = hall_of(tmp_path), RelayingReader()
    before = len(entries(hall.store))
    first = hall.step(sun_tap(hall, "card", counter=5))
    assert [command.kind for command in commands(first)] == ["Transceive"]
    assert (hall.till.outstanding, len(entries(hall.store)) - before) == (1, 0)
    second = hall.wait(20, reader.answer(first))
    assert the_command(second).seq == 0
    third = hall.wait(20, reader.answer(second))
    assert outcome(third) == "sold"
    held = next(entry for entry in entries(hall.store) if isinstance(entry, Held))
    assert read_packed(held.facts).token_counter == 5
    assert read_packed(held.facts).flags >> 3 & 3 == 0  # proven, as the released form calls it
    hall.store.close()


@pytest.mark.parametrize(
    ("risk", "relays", "asked"),
    [
        (ALWAYS, True, True),
        ({"challenge_over": PRICE - 1}, True, True),
        ({"challenge_over": PRICE}, True, False),
        ({}, True, False),
        (ALWAYS, False, False),
    ],
)
def test_who_is_asked(tmp_path, risk, relays, asked):
    hall = hall_of(tmp_path, risk=risk, relays=relays)
    effects = hall.step(sun_tap(hall, "card", counter=5))
    assert [command.kind for command in commands(effects)] == ["Transceive" if asked else "PulseCredit"]
    hall.store.close()


def test_a_message_that_proves_nothing_is_not_even_asked(tmp_path):
    hall = hall_of(tmp_path)
    assert outcome(hall.step(sun_tap(hall, "card", counter=5, key=bytes(16)))) == "card_not_proven"
    hall.store.close()


@pytest.mark.parametrize("card", ["", f"ntag424:{uid_of('card')}:{bytes(16).hex()}", f"ntag213:{uid_of('card')}"])
def test_a_recorded_message_without_the_card_is_refused(tmp_path, card):
    hall, reader = hall_of(tmp_path), RelayingReader(card)
    effects = hall.step(sun_tap(hall, "card", counter=5))
    for _half in range(2):
        if commands(effects):
            effects = hall.wait(20, reader.answer(effects))
    assert outcome(effects) == "card_not_proven"
    assert "tap.proof_refused" in logged(effects)
    refused = next(entry for entry in entries(hall.store) if isinstance(entry, Declined))
    assert read_packed(refused.facts).token_counter is None
    hall.store.close()


@pytest.mark.parametrize("half", [1, 2])
@pytest.mark.parametrize("answers", [(), ("9000",), ("9000", "91CA"), ("9000", "zz"), ("00" * 34,), ("6A82", "91AF")])
def test_an_answer_that_is_none_is_refused(tmp_path, half, answers):
    hall, reader = hall_of(tmp_path), RelayingReader()
    effects = hall.step(sun_tap(hall, "card", counter=5))
    if half == 2:
        effects = hall.wait(20, reader.answer(effects))
    command = the_command(effects)
    effects = hall.step(Answered("reader-1", Result(command.id, "done", answers=answers)))
    assert outcome(effects) == "card_not_proven"
    hall.store.close()


@pytest.mark.parametrize("result", ["refused", "failed", "unknown"])
def test_a_card_that_left_is_refused(tmp_path, result):
    hall = hall_of(tmp_path)
    command = the_command(hall.step(sun_tap(hall, "card", counter=5)))
    effects = hall.step(Answered("reader-1", Result(command.id, result, reason="card_gone")))
    assert outcome(effects) == "card_not_proven"
    hall.store.close()


STAFF = {
    "version": 1,
    "people": [{"id": "wang", "role": "floor", "credentials": [credential_of("wang", "ntag424").hex()]}],
}


def check_a_second_factor(tmp_path, *, there):
    """Let anna's tap want a second factor; a message of wang's card comes, and his card lies there or does not."""
    hall = hall_of(tmp_path, risk={"step_up_over": 100})
    hall.step(hall.member("wang", class_="A", media="ntag424", token_key=CARD_KEY))
    hall.step(DocumentArrived("staff", 1, msgspec.json.encode(STAFF)))
    assert outcome(hall.step(sun_tap(hall, "card", counter=1))) == "second_factor_needed"
    effects = hall.step(sun_tap(hall, "wang", counter=1))
    reader = RelayingReader(f"ntag424:{uid_of('wang')}:{CARD_KEY.hex()}" if there else "")
    while commands(effects):
        assert the_command(effects).kind == "Transceive"
        effects = hall.wait(20, reader.answer(effects))
    hall.pass_ms(1_000)
    assert outcome(hall.step(sun_tap(hall, "card", counter=2))) == ("sold" if there else "second_factor_needed")
    hall.store.close()


@pytest.mark.parametrize("there", [True, False])
def test_one_of_the_staff_is_a_second_factor_only_where_his_card_lies(tmp_path, there):
    check_a_second_factor(tmp_path, there=there)


def test_a_build_that_takes_a_recorded_second_factor_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(challenge, "_vouches", lambda _draft, _tap: False)
    with pytest.raises(AssertionError):
        check_a_second_factor(tmp_path, there=False)


def test_silence_is_refused_in_time_and_what_comes_later_changes_nothing(tmp_path):
    hall, reader = hall_of(tmp_path), RelayingReader()
    first = hall.step(sun_tap(hall, "card", counter=5))
    late = reader.answer(first)
    assert hall.wait(CHALLENGE_MS - 1) == []
    assert outcome(hall.wait(1)) == "card_not_proven"
    assert hall.till.outstanding == 0
    assert logged(hall.step(late)) == ["result.unknown_command"]
    hall.store.close()


def test_an_answer_from_another_reader_is_none(tmp_path):
    hall, reader = hall_of(tmp_path), RelayingReader()
    answered = reader.answer(hall.step(sun_tap(hall, "card", counter=5)))
    effects = hall.step(msgspec.structs.replace(answered, device="reader-2"))
    assert (commands(effects), hall.till.outstanding) == ([], 1)
    hall.store.close()


def test_a_bounce_while_a_card_is_asked_asks_nobody_again(tmp_path):
    hall, reader = hall_of(tmp_path), RelayingReader()
    tap = sun_tap(hall, "card", counter=5)
    first = hall.step(tap)
    assert hall.step(tap) == []
    assert hall.step(sun_tap(hall, "card", counter=6)) == []
    assert outcome(hall.step(reader.answer(hall.step(reader.answer(first))))) == "sold"
    assert sum(isinstance(entry, Held) for entry in entries(hall.store)) == 1
    hall.store.close()


def test_a_card_that_is_blocked_meanwhile_does_not_play(tmp_path):
    hall, reader = hall_of(tmp_path), RelayingReader()
    second = hall.step(reader.answer(hall.step(sun_tap(hall, "card", counter=5))))
    hall.step(hall.member("card", class_="A", media="ntag424", token_key=CARD_KEY, status="lost", version=2))
    assert outcome(hall.step(reader.answer(second))) == "card_lost"
    hall.store.close()


def test_too_many_at_once_are_refused_and_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(challenge, "CHALLENGES_LIMIT", 0)
    hall = hall_of(tmp_path)
    assert outcome(hall.step(sun_tap(hall, "card", counter=5))) == "card_not_proven"
    hall.store.close()


def one_round(hall: Hall, dice: random.Random, old: list[Answered], counter: int) -> tuple[str, str]:
    """Tap, and let each half go some way or other; return what must come of it, and what came."""
    hall.pass_ms(1_000)
    reader, good = RelayingReader(), True
    effects = hall.step(sun_tap(hall, "card", counter=counter))
    while commands(effects) and the_command(effects).kind == "Transceive":
        how = dice.choice(["good"] * 4 + ["gone", "silent", "elsewhere", "late"] + ["old"] * bool(old))
        good, answered = good and how == "good", reader.answer(effects)
        result = answered.result
        if how == "gone":
            answered = Answered("reader-1", Result(result.id, "refused", reason="card_gone"))
        elif how == "old":
            said = dice.choice(old).result.answers
            answered = Answered("reader-1", Result(result.id, "done", answers=said))
        elif how == "elsewhere":
            answered = msgspec.structs.replace(answered, device="reader-2")
        old.append(Answered("reader-1", result))
        effects = hall.wait(CHALLENGE_MS if how == "late" else 20, *([] if how == "silent" else [answered]))
        if how in ("silent", "elsewhere"):
            effects = hall.wait(CHALLENGE_MS)
    came = outcome(effects)
    for command in commands(effects):
        hall.step(hall.delivered(command))
    return ("sold" if good else "card_not_proven"), came


def test_whatever_happens_only_two_good_halves_sell(tmp_path):
    hall, dice, old = hall_of(tmp_path), random.Random(4), []
    rounds = [one_round(hall, dice, old, counter) for counter in range(1, count(4_000) + 1)]
    assert [came for _must, came in rounds] == [must for must, _came in rounds]
    assert {came for _must, came in rounds} == {"sold", "card_not_proven"}
    assert hall.till.outstanding == 0
    hall.store.close()


# ------------------------------------------------------------------------------------------------ replay and nonces
def check_a_replayed_transcript(tmp_path):
    """Record one whole tap; then, with fresh SUN messages, say the card's very answers again."""
    hall, reader = hall_of(tmp_path), RelayingReader()
    effects = hall.step(sun_tap(hall, "card", counter=5))
    for _half in range(2):
        effects = hall.wait(20, reader.answer(effects))
    assert outcome(effects) == "sold"
    for counter in range(6, 9):
        hall.pass_ms(1_000)
        effects = hall.step(sun_tap(hall, "card", counter=counter))
        for _commands, answers in reader.said:
            if commands(effects):
                result = Result(the_command(effects).id, "done", answers=answers)
                effects = hall.wait(20, Answered("reader-1", result))
        assert outcome(effects) == "card_not_proven"
    hall.store.close()


def test_a_replayed_transcript_is_refused(tmp_path):
    check_a_replayed_transcript(tmp_path)


def test_a_build_with_one_nonce_for_all_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(Draft, "nonce", lambda _draft, size: bytes(size))
    with pytest.raises(AssertionError):
        check_a_replayed_transcript(tmp_path)


def test_a_build_that_believes_any_answer_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(token_proof, "is_challenge_met", lambda answers, **_known: len(answers) == 1)
    with pytest.raises(AssertionError):
        check_a_replayed_transcript(tmp_path)


def check_nonces(tmp_path, *, asked):
    """Begin many challenges with the product's dice, and look for a nonce that came before."""
    hall, asking, seen = hall_of(tmp_path), Challenges(), set()
    hall.step(sun_tap(hall, "card", counter=5))
    (waiting,) = hall.till._challenges._open.values()
    body = event_body(sun_tap(hall, "card", counter=6).event)
    site, tail = hall.till._site, hall.till._tail
    draft = Draft(store=hall.store, site=site, now=hall.moment(), tail=tail, dice=os.urandom)
    for _tap in range(asked):
        assert asking.begin(draft, waiting.tap, body) is None
        (_name, one) = asking._open.popitem()
        seen.add(one.nonce)
        draft.effects.clear()
    assert len(seen) == asked
    hall.store.close()


def test_no_nonce_ever_repeats(tmp_path):
    check_nonces(tmp_path, asked=count(1_000_000))


def test_a_build_whose_nonces_repeat_is_caught(tmp_path, monkeypatch):
    numbers = iter(range(1_000_000))
    monkeypatch.setattr(Draft, "nonce", lambda _draft, size: (next(numbers) % 1_000).to_bytes(size, "big"))
    with pytest.raises(AssertionError):
        check_nonces(tmp_path, asked=2_000)
