"""Payer codes of other wallets: told apart from all else, and never said aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.payer_codes import payer_wallet, sayable


@pytest.mark.parametrize(
    ("text", "wallet"),
    [
        ("101234567890123456", "wechat"), ("134567890123456789", "wechat"), ("159999999999999999", "wechat"),
        (" 134567890123456789\r", "wechat"),
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


@given(st.text().filter(lambda text: payer_wallet(text) is None))
def test_all_else_is_said_as_it_is(text):
    assert sayable(text) == text
