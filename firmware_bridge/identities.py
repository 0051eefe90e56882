"""Who stands behind each place: serial numbers as bridge.toml names them, or as they were first seen."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.preallocated import LogFileError
from payment_core.errors import DECODE_FAULTS

MAX_SERIAL: Final = 64


class Identities:
    """The serial number that each device must have; `seen` keeps the first one of a device for the next start."""

    def __init__(self, file: Path, *, named: Mapping[str, str]) -> None:
        """Read what was written down; LogFileError where it cannot be read. `named`: serial by device, by a person."""
        self._file: Final = file
        self._named: Final = dict(named)
        self._seen: dict[str, str] = {}
        try:
            self._seen = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            pass
        except (OSError, *DECODE_FAULTS) as error:
            message = f"{file}: cannot be read ({error}): remove it, and each device is known anew by its next start"
            raise LogFileError(message) from error

    def expected(self, device: str) -> str:
        """Return the serial number the device must have, "" where any may be there."""
        return self._named.get(device) or self._seen.get(device, "")

    def replaced(self, device: str) -> bool:
        """Say whether a person named another device than the one that was here: its counters say nothing of ours."""
        named, seen = self._named.get(device), self._seen.get(device)
        return bool(named and seen and named != seen)

    def seen(self, device: str, serial: str) -> None:
        """Write down who is there; OSError where the disk fails."""
        serial = serial[:MAX_SERIAL]
        if self._seen.get(device) == serial:
            return
        self._seen[device] = serial
        fresh = self._file.with_name(f".{self._file.name}.fresh")
        with fresh.open("wb") as opened:
            opened.write(msgspec.json.format(msgspec.json.encode(self._seen), indent=1))
            opened.flush()
            os.fsync(opened.fileno())
        fresh.replace(self._file)
