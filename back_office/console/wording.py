"""The console's words: one TOML file per language, asked by dotted keys; sums, ages and times for people."""

import functools
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from payment_core.money import SYMBOLS, Money, money_text

LANGUAGES: Final = ("en", "zh-Hans")
_FILES: Final = {"zh-Hans": "zh_hans.toml", "en": "en.toml"}
NO_TIME: Final = "–"
_STEPS: Final = ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds"))


@functools.cache
def load(language: str) -> Mapping[str, str]:
    """Return one language's texts by dotted key, such as `result.in_doubt`."""
    text = resources.files("back_office.console").joinpath("texts", _FILES[language]).read_text(encoding="utf-8")
    return MappingProxyType(dict(_flat(tomllib.loads(text), "")))


class Words:
    """One language's texts and the way it writes sums, ages and times."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = load(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of a key with its placeholders filled."""
        return self._texts[key].format(**values)

    def named(self, group: str, name: str) -> str:
        """Return the text for a name that the books chose (a reason, a purse, an account); the name itself if new.

        What follows a colon belongs to the venue and is kept: `revenue:racer-2` is `Revenue racer-2`.
        """
        kind, _, key = name.partition(":")
        text = self._texts.get(f"{group}.{kind}", kind)
        return f"{text} {key}" if key else text

    def amount(self, amount: Money) -> str:
        """Return a sum: money by its symbol, points and plays by their word."""
        template = self._texts.get(f"unit.{amount.unit.partition(':')[0]}")
        if amount.unit in SYMBOLS or template is None:
            return money_text(amount)
        return template.format(count=f"{amount.minor:,}")

    def age(self, age_ms: int) -> str:
        """Return how long that is, in its largest whole step: `3 min`."""
        for step_ms, name in _STEPS:
            if age_ms >= step_ms:
                return self._texts[f"age.{name}"].format(count=age_ms // step_ms)
        return self._texts["age.now"]

    def lasting(self, key: str, age_ms: int, **values: object) -> str:
        """Return the text about something that has been so for a while; `{key}_now` before there is an age to tell."""
        if age_ms < _STEPS[-1][0]:
            return self(f"{key}_now", **values)
        return self(key, age=self.age(age_ms), **values)

    def clock(self, at_ms: int, timezone: str) -> str:
        """Return the venue's time of day with seconds; a dash for a time that no calendar has."""
        try:
            return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(timezone)).strftime("%H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return NO_TIME

    def moment(self, at_ms: int, timezone: str) -> str:
        """Return the venue's date and time of day; a dash for a time that no calendar has."""
        try:
            return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")
        except (ValueError, OverflowError, OSError):
            return NO_TIME


def _flat(table: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
