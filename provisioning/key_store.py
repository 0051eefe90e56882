"""Where private keys are put: the port, and the file backend for development."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cloud_sync.identity import HubIdentity, OfficeKeys, save_identity, save_office

FILE_WARNING: Final = (
    "keys in files: whoever copies {folder} is this hub or this office. Good for development and for a machine in a "
    "locked room; a hub in a venue needs a key store that an SD card does not carry"
)


class KeyStore(Protocol):
    """Keeps identities. A backend that holds keys outside the disk writes the public part only."""

    def keep_hub(self, identity: HubIdentity) -> None:
        """Store a hub's identity; never over another one."""
        ...

    def keep_office(self, keys: OfficeKeys) -> None:
        """Store an office's keys; never over others."""
        ...


class FileKeyStore:
    """Files of mode 0600 in a folder of mode 0700. `warn` gets one sentence at each use: it is shown to a person."""

    def __init__(self, folder: Path, *, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn

    def keep_hub(self, identity: HubIdentity) -> None:
        """Write the hub's folder, then warn."""
        save_identity(identity, self._folder)
        self._warn(FILE_WARNING.format(folder=self._folder))

    def keep_office(self, keys: OfficeKeys) -> None:
        """Write the office's folder, then warn."""
        save_office(keys, self._folder)
        self._warn(FILE_WARNING.format(folder=self._folder))
