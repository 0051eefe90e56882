"""A reader on the office's own machine, and one blank after the other on it: begun, written, proven, in stock."""

import secrets
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from back_office.members.stock import CardStep, Doer, take_step
from back_office.store import stock
from back_office.store.engine import Store
from cloud_sync.identity import OfficeKeys
from edge_agent.tap.token_proof import TOKEN_KEY_NUMBER
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.nfc_cards import Field, Target, is_iso_dep, is_random_uid, is_type2
from firmware_bridge.drivers.nfc_watch import OpenField
from payment_core.identifiers import credential_id
from provisioning.token_keys import UID_BYTES, TokenKeys, load_token_keys, make_token_keys
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office.encoding import EncodingError, encode_ntag424
from venuehub.office.encoding_21x import encode_ntag21x

Media = Literal["ntag424", "ntag21x"]
WAIT_S: Final = 30.0
"""How long a person may take to lay the next card on the reader."""

_LOOK_ATTEMPTS: Final = 20
_REMEDY: Final = "check the path, the cable, and who else has the reader open"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What every card of one run becomes. url: where an NTAG 424's message leads; by, note: for the card's history."""

    media: Media
    url: str
    by: str
    note: str = ""
    wait_s: float = WAIT_S


@contextmanager
def open_reader(port: str, reader: str) -> Iterator[Field]:
    """Open a PN532 at a serial port, or a PC/SC reader by the beginning of its name; CliError names what is wrong."""
    if bool(port) == bool(reader):
        hint = "name a PN532's serial port with --port, or a PC/SC reader with --reader"
        raise CliError("settings", "one reader is needed", where="--port", hint=hint, exit_code=ExitCode.USAGE)
    with told_as(
        "port", OSError, termios.error, DriverError, where=port or reader, otherwise=_REMEDY,
        exit_code=ExitCode.DEVICE_SILENT,
    ):  # fmt: skip
        field = _opened(port, reader)
        try:
            yield field
        finally:
            field.close()


def _opened(port: str, reader: str) -> OpenField:
    if reader:
        from firmware_bridge.drivers.pcsc_reader import CardField, load_scard

        return CardField(reader, load_scard())
    from firmware_bridge.drivers.nfc_reader import ChipField

    return ChipField(port)


def token_keys_of(folder: Path, store: Store, tenant_id: bytes) -> TokenKeys:
    """Return the keys of an office's tokens; its master is made with the first card, and never in place of a lost one.

    IdentityError: cards are encoded already, and the master is not where it was.
    """
    with store.reading() as tx:
        first = stock.is_empty(tx, tenant_id)
    return make_token_keys(folder) if first else load_token_keys(folder)


def encode_next(
    field: Field, work: Work, *, store: Store, office: OfficeKeys, tokens: TokenKeys, last: bytes = b""
) -> tuple[bytes, bytes]:
    """Encode the next card, another than `last`; return its UID and its credential id.

    EncodingError, StockError: this card did not come into the stock. What was begun stays begun until a card proves
    itself. CliError: nobody laid a card there.
    """
    target = _next_card(field, last, work.wait_s)
    fits = is_iso_dep(target) if work.media == "ntag424" else is_type2(target)
    if is_random_uid(target.uid) or len(target.uid) != UID_BYTES or not fits:
        message = f"this is no {work.media} card, and it was not written; take another one, or another --media"
        raise EncodingError(message)
    card_id = credential_id(pepper=office.pepper, kind=work.media, raw_id=target.uid)

    def step(name: CardStep, token_key: bytes) -> None:
        doer = Doer(work.by, time.time_ns() // 1_000_000, work.note)
        with store.writing() as tx:
            take_step(tx, office.tenant_id, card_id, name, doer, media=work.media, token_key=token_key)

    step(CardStep.BEGIN, b"")
    if work.media == "ntag424":
        keys = tokens.ntag424(target.uid)
        encode_ntag424(field, target, keys, url=work.url, dice=secrets.token_bytes)
        step(CardStep.FINISH, keys[TOKEN_KEY_NUMBER])
    else:
        encode_ntag21x(field, target, tokens.ntag21x(target.uid))
        step(CardStep.FINISH, b"")
    return target.uid, card_id


def _next_card(field: Field, last: bytes, wait_s: float) -> Target:
    """Wait for a card that is not `last`; it is looked at anew, so that whatever it was told before is forgotten."""
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        field.off()
        target = field.look(attempts=_LOOK_ATTEMPTS)
        if target is not None and target.uid != last:
            return target
    message = f"no new card within {wait_s:g} s"
    hint = "lay one card on the reader, and the next one when it is told"
    raise CliError("silent", message, hint=hint, exit_code=ExitCode.DEVICE_SILENT)
