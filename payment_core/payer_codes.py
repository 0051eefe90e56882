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
_AIM: Final = re.compile(r"^\][A-Za-z][0-9A-Za-z]")
"""What kind of code it was, as a scanner may be set to say in front of it (ISO/IEC 15424)."""
_FRINGE: Final = re.compile(r"^\W+|\W+$")
_NO_PAYER_CODES: Final = ("VM1:", "VH1:", "000201")
"""How member codes, slips and merchant codes begin: long digits in these are said."""
_LONG_DIGITS: Final = re.compile(r"[0-9]{16,}")


def payer_wallet(text: str) -> Wallet | None:
    """Return whose payer code this is, or None where it is none.

    White space and signs around it do not matter, and neither does a code's kind: scanners are set to add them.
    """
    bare = _FRINGE.sub("", _AIM.sub("", text.strip()))
    return next((wallet for wallet, shape in _SHAPES if shape.fullmatch(bare)), None)


def sayable(text: str) -> str:
    """Return what may be said of a scanned text aloud: a payer code becomes its wallet's name.

    A scanner may be set to add letters of its own: so no digits that could be such a code are said of a strange text.
    """
    wallet = payer_wallet(text)
    if wallet is not None:
        return f"(payer code, {wallet})"
    return text if text.startswith(_NO_PAYER_CODES) else _LONG_DIGITS.sub("(digits)", text)
