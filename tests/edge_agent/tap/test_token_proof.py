"""A SUN message is proven by its key and its counter, and everything else is refused as a value."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.tap.token_proof import (
    ProofRefused,
    SunProof,
    challenge_reply,
    is_challenge_met,
    prove_sun,
    sun_uid,
)

KEY = bytes(16)
EV2 = json.loads((Path(__file__).parents[2] / "vectors/ntag424/an12196.json").read_text())["authenticate_ev2_first"]
NONCE = bytes.fromhex(EV2["rnd_a"])
ASKED = ("9000", EV2["card_challenge"] + "91AF")
MET = (EV2["card_reply"] + "9100",)
AN12196_PAGE_12 = "https://card.example/t?uid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE65337086"


def test_the_makers_example_is_proven() -> None:
    proof = prove_sun(url=AN12196_PAGE_12, token_key=KEY, last_counter=60)
    assert proof == SunProof(uid="04DE5F1EACC040", counter=61)


def test_case_and_order_of_the_fields_do_not_matter() -> None:
    url = "https://card.example/?mac=94eed9ee65337086&ctr=00003d&uid=04de5f1eacc040"
    assert prove_sun(url=url, token_key=KEY, last_counter=-1) == SunProof(uid="04DE5F1EACC040", counter=61)


@pytest.mark.parametrize("last_counter", [61, 62, 0xFFFFFF])
def test_a_counter_that_is_not_higher_is_a_replay(last_counter: int) -> None:
    refused = prove_sun(url=AN12196_PAGE_12, token_key=KEY, last_counter=last_counter)
    assert refused == ProofRefused("counter_replayed")


@pytest.mark.parametrize(
    "url",
    [
        AN12196_PAGE_12.replace("94EE", "94EF"),
        AN12196_PAGE_12.replace("00003D", "00003E"),
        AN12196_PAGE_12.replace("04DE", "04DF"),
    ],
)
def test_one_changed_digit_is_a_wrong_mac(url: str) -> None:
    assert prove_sun(url=url, token_key=KEY, last_counter=0) == ProofRefused("wrong_mac")


def test_another_key_is_a_wrong_mac() -> None:
    refused = prove_sun(url=AN12196_PAGE_12, token_key=bytes(15) + b"\x01", last_counter=0)
    assert refused == ProofRefused("wrong_mac")


def test_a_replayed_message_under_a_wrong_key_says_nothing_about_the_counter() -> None:
    refused = prove_sun(url=AN12196_PAGE_12, token_key=bytes(15) + b"\x01", last_counter=99)
    assert refused == ProofRefused("wrong_mac")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://card.example/t",
        "https://[card.example/?uid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE65337086",
        AN12196_PAGE_12.replace("04DE5F1EACC040", "04DE5F1EACC0"),
        AN12196_PAGE_12.replace("ctr=00003D", "ctr=61"),
        AN12196_PAGE_12.replace("ctr=00003D", "ctr=٠٠٠٠٦١"),
        AN12196_PAGE_12 + "&uid=04DE5F1EACC041",
        AN12196_PAGE_12 + "&note=" + "x" * 256,
        AN12196_PAGE_12 + "".join(f"&f{number}=1" for number in range(17)),
    ],
)
def test_what_is_no_sun_url_is_malformed(url: str) -> None:
    assert prove_sun(url=url, token_key=KEY, last_counter=-1) == ProofRefused("malformed")
    assert sun_uid(url) is None


def test_the_uid_is_found_before_any_proof() -> None:
    assert sun_uid(AN12196_PAGE_12.replace("94EE", "0000")) == "04DE5F1EACC040"


def test_a_key_of_another_length_is_a_fault() -> None:
    with pytest.raises(ValueError, match="16 bytes, got 8"):
        prove_sun(url=AN12196_PAGE_12, token_key=bytes(8), last_counter=0)


@given(st.text(max_size=120))
def test_no_text_raises_and_none_is_proven(text: str) -> None:
    result = prove_sun(url=f"https://card.example/?{text}", token_key=KEY, last_counter=-1)
    assert isinstance(result, ProofRefused)


def test_the_makers_challenge_is_answered_and_met() -> None:
    assert challenge_reply(ASKED, token_key=KEY, nonce=NONCE) == f"90AF000020{EV2['host_reply']}00"
    assert is_challenge_met(MET, token_key=KEY, nonce=NONCE)


@pytest.mark.parametrize(
    "answers", [(), ASKED[:1], (*ASKED, ""), ("6A82", ASKED[1]), ("9000", "91AE"), ("9000", ASKED[1][:-4] + "9100")]
)
def test_a_card_that_does_not_take_part_is_not_answered(answers: tuple[str, ...]) -> None:
    assert challenge_reply(answers, token_key=KEY, nonce=NONCE) is None


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.binary(max_size=40))
def test_no_other_nonce_key_or_answer_is_met(nonce: bytes, key: bytes, answer: bytes) -> None:
    assert not is_challenge_met(MET, token_key=KEY, nonce=nonce) or nonce == NONCE
    assert not is_challenge_met(MET, token_key=key, nonce=NONCE) or key == KEY
    assert not is_challenge_met((answer.hex(),), token_key=KEY, nonce=NONCE)
    assert not is_challenge_met((), token_key=KEY, nonce=NONCE)
