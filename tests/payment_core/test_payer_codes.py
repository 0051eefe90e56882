"""Payer codes of other wallets: told apart from all else, and never said aloud."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core import payer_codes
from payment_core.payer_codes import payer_wallet, sayable


@pytest.mark.parametrize(
    ("text", "wallet"),
    [
        ("101234567890123456", "wechat"), ("134567890123456789", "wechat"), ("159999999999999999", "wechat"),
        (" 134567890123456789\r", "wechat"), ("]Q1134567890123456789", "wechat"), ("286123456789012345;", "alipay"),
        ("160000000000000000", None), ("10123456789012345", None), ("1012345678901234567", None),
        ("2500000000000000", "alipay"), ("286123456789012345", "alipay"), ("30" + 22 * "9", "alipay"),
        ("250000000000000", None), ("30" + 23 * "9", None), ("2400000000000000", None), ("3100000000000000", None),
        ("4710000000000", None), ("", None), ("VH1:134567890123456789", None), ("１３4567890123456789", None),
    ],
)  # fmt: skip
def test_each_wallets_codes(text, wallet):
    assert payer_wallet(text) == wallet


@given(st.from_regex(r"(1[0-5][0-9]{16}|(2[5-9]|30)[0-9]{14,22})", fullmatch=True))
def test_nothing_of_a_payer_code_is_said(text):
    assert not set("0123456789") & set(sayable(text))


@pytest.mark.parametrize("around", ["]Q1{}", "]Q1{}\r", "{};", "QR{}", "A {} B", "\x02{}\x03", "#{}#", "9{}9"])
@pytest.mark.parametrize("code", ["134567890123456789", "2500000000000000", "30" + 22 * "9"])
def test_nothing_of_it_is_said_either_where_the_scanner_adds_something(around, code):
    said = sayable(around.format(code))
    assert all(part not in said for part in (code, code[:8], code[-8:]))


def test_a_build_that_knows_bare_codes_alone_is_caught(monkeypatch):
    monkeypatch.setattr(payer_codes, "_LONG_DIGITS", re.compile("(?!)"))
    with pytest.raises(AssertionError):
        test_nothing_of_it_is_said_either_where_the_scanner_adds_something("QR{}", "134567890123456789")


@pytest.mark.parametrize(
    "text", ["VM1:000102030405060708090A8358605AD1FF1DAC830549", "000201010212269400000000000000000000"]
)
def test_codes_that_pay_nothing_are_said_with_their_digits(text):
    assert sayable(text) == text


@given(st.text().filter(lambda text: payer_wallet(text) is None and not re.search("[0-9]{16}", text)))
def test_all_else_is_said_as_it_is(text):
    assert sayable(text) == text
