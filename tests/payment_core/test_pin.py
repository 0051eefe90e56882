"""PIN verifiers: the right PIN and no other, salted, and nothing of the PIN in what is kept."""

import pytest

from payment_core.pin import SALT_BYTES, is_pin, is_right, is_verifier, make_verifier

SALT = bytes(range(SALT_BYTES))
PINNED = "scrypt-16384-8-1$AAECAwQFBgcICQoLDA0ODw==$"


def test_the_right_pin_and_no_other():
    verifier = make_verifier("2580", salt=SALT)
    assert verifier.startswith(PINNED)
    assert is_right("2580", verifier)
    assert not any(is_right(wrong, verifier) for wrong in ("2581", "25800", "", "abcd"))
    assert "2580" not in verifier


def test_two_people_with_one_pin_have_two_verifiers():
    assert make_verifier("2580", salt=SALT) != make_verifier("2580", salt=SALT[::-1])


@pytest.mark.parametrize("verifier", ["", "scrypt", "plain$AAAA$AAAA", f"{PINNED}not base64", f"{PINNED}AAAA"])
def test_what_is_no_verifier_lets_nobody_in(verifier):
    assert not is_right("2580", verifier)


@pytest.mark.parametrize("text", ["123", "1234567890123", "0000", "12a4", "", "１２３４"])
def test_what_is_no_pin(text):
    assert not is_pin(text)
    with pytest.raises(ValueError, match="4 to 12 digits"):
        make_verifier(text, salt=SALT)


@pytest.mark.parametrize("text", ["", "2580", "scrypt-16384-8-1$…$…", "scrypt-16384-8-1$AAAA$AAAA", "md5$AAAA$AAAA"])
def test_what_no_pin_can_ever_match_is_no_verifier(text):
    assert not is_verifier(text)
    assert is_verifier(make_verifier("2580", salt=bytes(16)))
