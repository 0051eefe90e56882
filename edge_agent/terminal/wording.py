"""The words of the pages: two TOML files per language (guests and desk), read once, asked by dotted keys."""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

from payment_core.money import SYMBOLS, Money, money_text

LANGUAGES: Final = ("zh-Hans", "zh-Hant", "en")
"""In the order in which the page's switch goes through them."""
_FILES: Final = {"zh-Hans": "zh_hans.toml", "zh-Hant": "zh_hant.toml", "en": "en.toml"}
_HANT_PLACES: Final = frozenset({"hant", "tw", "hk", "mo"})


class UnknownLanguageError(Exception):
    """A language this page has no words for; the text names those it has."""

    def __init__(self, language: str) -> None:
        super().__init__(f"language {language!r}: this page speaks {', '.join(LANGUAGES)}")


def spoken_first(accept_language: str) -> str:
    """Return the first language of an Accept-Language header that we speak; ours where it names none."""
    for wish in accept_language.lower().split(","):
        base, *parts = wish.partition(";")[0].strip().split("-")
        if base == "zh":
            return "zh-Hant" if _HANT_PLACES & set(parts) and "hans" not in parts else "zh-Hans"
        if base in LANGUAGES:
            return base
    return LANGUAGES[0]


def next_language(language: str) -> str:
    """Return the language that the page's switch goes to."""
    return LANGUAGES[(LANGUAGES.index(language) + 1) % len(LANGUAGES)]


@functools.cache
def load(language: str) -> Mapping[str, str]:
    """Return one language's texts by dotted key, such as `reason.not_enough.advice`."""
    if language not in _FILES:
        raise UnknownLanguageError(language)
    folder, file = resources.files("edge_agent.terminal").joinpath("texts"), _FILES[language]
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in (file, f"desk_{file}")]
    return MappingProxyType({key: text for part in texts for key, text in _flat(tomllib.loads(part), "")})


class Words:
    """One language's texts and the way it writes sums."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = load(language)

    def __call__(self, key: str, **values: str) -> str:
        """Return the text of a key with its placeholders filled."""
        return self._texts[key].format(**values)

    def sale(self, key: str, *, vends: bool, **values: str) -> str:
        """Return the text of a key where something is sold: a machine with goods has words of its own for some."""
        special = f"vend.{key}"
        return self(special if vends and special in self._texts else key, **values)

    def reason(self, reason: str, part: str, *, vends: bool = False) -> str:
        """Return `word` or `advice` of a decline reason; a reason newer than this page gets the general one."""
        key = f"reason.{reason}.{part}"
        return self.sale(key if key in self._texts else f"reason.other.{part}", vends=vends)

    def desk_reason(self, reason: str) -> str:
        """Return why an act of staff was refused; a reason newer than this page gets the general one."""
        return self._texts.get(f"desk.reason.{reason}") or self._texts["desk.reason.other"]

    def person_reason(self, reason: str) -> str:
        """Return why somebody was not enrolled, or is not deleted yet; a module's newer word gets the general one."""
        return self._texts.get(f"desk.person.why.{reason}") or self._texts["desk.person.why.other"]

    def trouble(self, reason: str) -> str:
        """Return what is wrong with a device; what a driver wrote for engineers is in the bridge's log."""
        return self._texts.get(f"trouble.{reason}") or self._texts["trouble.other"]

    def amount(self, minor: int, unit: str) -> str:
        """Return a sum as this language writes it: money by its symbol, points and plays by their word."""
        template = self._texts.get(f"unit.{unit.partition(':')[0]}")
        if unit in SYMBOLS or template is None:
            return money_text(Money(minor, unit))
        return template.format(count=f"{minor:,}")


def _flat(table: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
