"""Codes of other people's wallets: who shows one wants to be charged by it, and it is as good as the money.

Such a code lives about a minute and pays once. It is never written down, shown or repeated; only which wallet it
belongs to may be said.
"""

import re
from typing import Final, Literal

Wallet = Literal["wechat", "alipay"]

_SHAPES: Final[tuple[tuple[Wallet, re.Pattern[str]], ...]] = (
    ("wechat", re.compile(r"1[0-5][0-9]{16}")),
    ("alipay", re.compile(r"(?:2[5-9]|30)[0-9]{14,22}")),
)
"""WeChat Pay: 18 digits from 10 to 15. Alipay: 16 to 24 digits from 25 to 30, not always 18."""


def payer_wallet(text: str) -> Wallet | None:
    """Return whose payer code this is, or None where it is none; white space around it does not matter."""
    bare = text.strip()
    return next((wallet for wallet, shape in _SHAPES if shape.fullmatch(bare)), None)


def sayable(text: str) -> str:
    """Return what may be said of a scanned text aloud: a payer code becomes its wallet's name."""
    wallet = payer_wallet(text)
    return text if wallet is None else f"(payer code, {wallet})"
