"""A damaged ledger goes into quarantine and a new epoch begins; whoever cuts it off anywhere runs it again.

Three steps, each named in a note before it begins, so that nothing is ever half of both:
a new ledger is made in a folder of its own; the old files are moved aside; the new ones are moved in.
"""

import shutil
from pathlib import Path
from typing import Final, Literal

import msgspec

from cloud_sync.identity import load_identity
from edge_agent.clock import Clock
from edge_agent.ledger.quarantine import QUARANTINE, files_of, move_aside, sync_file, sync_folder
from edge_agent.ledger.salvaged import Known, begin, look_into
from edge_agent.settings import read_settings
from edge_agent.start.opening import SALVAGE_NOTE, Place
from payment_core.errors import DECODE_FAULTS
from payment_core.journal import Actor, Header, Tender
from payment_core.wording import counted

NEW_FOLDER: Final = "salvage.new"
MOST_NAME: Final = 64


class SalvageRefusedError(Exception):
    """Nothing was done; the text names the reason and the remedy."""


class Salvaged(msgspec.Struct, frozen=True):
    """What was done: where the old files are, and what the first record of the new epoch says."""

    quarantine: str
    epoch: int
    previous_epoch: int
    previous_seq: int
    missing: tuple[str, ...]
    unsent: int


class _Note(msgspec.Struct, frozen=True):
    step: Literal["moving", "placing"]
    done: Salvaged


def salvage_hub(config: Path, *, by: str, unsent_stays: bool) -> Salvaged:
    """Salvage the ledger of the hub that a settings file describes, for the epoch its identity is enrolled for."""
    if not 0 < len(by) <= MOST_NAME:
        message = f"--by: a name of 1 to {MOST_NAME} letters"
        raise SalvageRefusedError(message)
    settings = read_settings(config)
    identity = load_identity(config.parent.joinpath(settings.identity))
    place = Place(config.parent.joinpath(settings.state))
    now = Clock(timezone=settings.timezone, cutoff_minute=settings.cutoff_minute, floor_ms=0).now()
    header = Header(
        1, now.wall_ms, now.boot_id, now.boottime_ms, now.quality, now.business_date, Actor.STAFF, Tender.NONE,
        identity.venue_id,
    )  # fmt: skip
    with place.held_alone():
        return salvage(place, epoch=identity.epoch, header=header, by=by, unsent_stays=unsent_stays)


def salvage(place: Place, *, epoch: int, header: Header, by: str, unsent_stays: bool) -> Salvaged:
    """Quarantine the ledger and begin the next epoch; go on where an earlier run was cut off.

    `epoch`, `header`: of the new epoch and its first record. Durable when it returns.
    """
    note = _read(place)
    if note is None:
        note = _prepare(place, epoch=epoch, header=header, by=by, unsent_stays=unsent_stays)
    new = place.folder.joinpath(NEW_FOLDER)
    if note.step == "moving":
        move_aside(place.ledger, Path(note.done.quarantine))
        note = _Note("placing", note.done)
        _write(place, note)
    for file in files_of(new.joinpath(place.ledger.name)):
        file.rename(place.folder.joinpath(file.name))
    sync_folder(place.folder)
    place.folder.joinpath(SALVAGE_NOTE).unlink()
    shutil.rmtree(new, ignore_errors=True)
    sync_folder(place.folder)
    return note.done


def _prepare(place: Place, *, epoch: int, header: Header, by: str, unsent_stays: bool) -> _Note:
    """Look, refuse what must be refused, and make the new ledger; nothing of the old one has moved yet."""
    if not place.damage and (place.ledger.exists() or not place.was_used):
        message = f"{place.ledger}: it is not known to be damaged. A hub that starts checks it, and says so if it is."
        raise SalvageRefusedError(message)
    known = look_into(place.ledger)
    _refuse(place, known, epoch=epoch, unsent_stays=unsent_stays)
    new = place.folder.joinpath(NEW_FOLDER)
    shutil.rmtree(new, ignore_errors=True)  # of a run that was cut off before it moved anything
    new.mkdir(mode=0o700)
    begin(new.joinpath(place.ledger.name), known, epoch=epoch, header=header, cause=f"salvaged by {by}")
    aside = place.folder.joinpath(QUARANTINE, f"{header.wall_ms}-{known.epoch}")
    if aside.exists():
        message = f"{aside}: is there already; nothing was moved"
        raise SalvageRefusedError(message)
    done = Salvaged(str(aside), epoch, known.epoch, known.tail.seq, known.missing, known.unsent)
    note = _Note("moving", done)
    _write(place, note)
    return note


def _refuse(place: Place, known: Known, *, epoch: int, unsent_stays: bool) -> None:
    if epoch <= max(known.epoch, 1):
        message = (
            f"{place.ledger}: it was in epoch {known.epoch or 'unknown'}, and this identity is for epoch {epoch}; "
            "nobody would believe what is said again under those numbers. First `venuehub office hub replace`, which "
            "closes the old hub and enrolls the machine for the next epoch; then put the new identity folder in place."
        )
        raise SalvageRefusedError(message)
    if known.unsent and not unsent_stays:
        message = (
            f"{place.ledger}: {counted(known.unsent, 'intact entry', 'intact entries')} without a receipt. Run the hub "
            "with its old identity until its office has them; or say --unsent-stays: they are kept in quarantine only."
        )
        raise SalvageRefusedError(message)


def _read(place: Place) -> _Note | None:
    try:
        return msgspec.json.decode(place.folder.joinpath(SALVAGE_NOTE).read_bytes(), type=_Note)
    except FileNotFoundError:
        return None
    except DECODE_FAULTS as error:
        message = f"{place.folder.joinpath(SALVAGE_NOTE)}: is not readable ({error}). Look into the folder first."
        raise SalvageRefusedError(message) from error


def _write(place: Place, note: _Note) -> None:
    """Write the note whole or not at all."""
    path = place.folder / SALVAGE_NOTE
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(note))
    sync_file(fresh)
    fresh.replace(path)
    sync_folder(place.folder)
