"""A venue's configuration as files: what `venuehub exposure` reads and the simulator writes."""

from pathlib import Path
from typing import Final

import msgspec

from device_profiles.loading import SettingsError, convert_strictly, read_strictly, read_table
from payment_core.exposure import Exposure, exposure, hub_terms
from payment_core.policy import RiskDocument

VENUE_FILE: Final = "venue.toml"


class HubFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hub of the venue: its name and the risk document it has in force (.toml or .json), beside this file."""

    name: str
    risk: str


class VenueFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`venue.toml`: the currency, the hubs, how often a disk may be restored and how many days nobody reports."""

    unit: str
    hub: tuple[HubFile, ...]
    rollbacks: int = 1
    days: int = 1


def of_folder(folder: Path) -> Exposure:
    """Return the bound of a configuration folder; SettingsError names file, place and remedy."""
    venue = read_strictly(folder / VENUE_FILE, VenueFile)
    if not venue.hub or venue.rollbacks < 0 or venue.days < 1:
        message = f"{VENUE_FILE}: a venue has a [[hub]], 0 or more rollbacks and 1 or more days. Correct it."
        raise SettingsError(message)
    names = [hub.name for hub in venue.hub]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        message = f"{VENUE_FILE}: two hubs are called {twice!r}. Give one another name, or remove it."
        raise SettingsError(message)
    hubs = [hub_terms(hub.name, _read_risk(folder / hub.risk)) for hub in venue.hub]
    return exposure(venue.unit, hubs, rollbacks=venue.rollbacks, days=venue.days)


def _read_risk(path: Path) -> RiskDocument:
    return convert_strictly({"version": 0, **read_table(path)}, RiskDocument, file=path.name)


def write_folder(folder: Path, unit: str, risks: dict[str, RiskDocument], *, rollbacks: int, days: int) -> None:
    """Write a configuration folder that `of_folder` reads; `risks` by hub name."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'unit = "{unit}"', f"rollbacks = {rollbacks}", f"days = {days}"]
    for name, risk in risks.items():
        file = f"risk-{name}.json"
        (folder / file).write_bytes(msgspec.json.format(msgspec.json.encode(risk)) + b"\n")
        lines += ["", "[[hub]]", f'name = "{name}"', f'risk = "{file}"']
    (folder / VENUE_FILE).write_text("\n".join(lines) + "\n", "utf-8")
