"""Faults of this room: a caller broke a promise, or bytes are not what they claim. Refusals are values, not errors."""

from typing import Final

import msgspec

DECODE_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for bytes: text that is not UTF-8, and nesting too deep, come through as they are."""


class VaultError(Exception):
    """Base of all faults that payment_core raises."""


class UnitMismatchError(VaultError):
    """Two amounts of different units met in one sum."""


class UnknownEntryError(VaultError):
    """A journal record has a type or version this release does not know: park it, keep it, alarm."""


class MalformedRecordError(VaultError):
    """Bytes that should be a journal record are not one, or are not in canonical form."""


class IllegalStepError(VaultError):
    """An authorization was asked to take a step its table does not have; names the state and the step."""


class MalformedMessageError(VaultError):
    """A device-bus message is not what its topic promises; the text names the field."""
