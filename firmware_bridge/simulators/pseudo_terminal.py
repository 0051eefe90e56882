"""A pseudo-terminal under a name of our choice, that can be unplugged and plugged in again."""

import contextlib
import os
import tty
from pathlib import Path
from typing import Final

from firmware_bridge.simulators.name_lock import NameLock


class Pty:
    """A pseudo-terminal whose far end has a name of our choice: `link` points to it while it is plugged in.

    The name is ours from the first `plug` to `close`.
    """

    def __init__(self, link: Path) -> None:
        self.link: Final = link
        self.master = self.slave = -1
        self.target = ""
        self._lock: NameLock | None = None

    @property
    def plugged(self) -> bool:
        """Say whether the link is there."""
        return self.master >= 0

    def plug(self) -> None:
        """Make the terminal, raw at both ends, and the link.

        OSError where a file that is no link has its name, where a running simulator has it, or where it cannot be made.
        """
        if os.path.lexists(self.link) and not self.link.is_symlink():
            message = f"{self.link}: exists and is not a link: choose another path"
            raise FileExistsError(message)
        if self._lock is None:
            self._lock = NameLock(self.link)
        self.master, self.slave = os.openpty()
        tty.setraw(self.master)
        tty.setraw(self.slave)  # kept open: without any open far end the kernel answers every read with EIO
        os.set_blocking(self.master, False)
        self.target = os.ttyname(self.slave)
        fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.target)
        fresh.replace(self.link)

    def unplug(self) -> None:
        """Close the terminal and remove the link, unless somebody else has taken its name since."""
        if not self.plugged:
            return
        with contextlib.suppress(OSError):
            if str(self.link.readlink()) == self.target:
                self.link.unlink()
        os.close(self.master)
        os.close(self.slave)
        self.master = self.slave = -1

    def close(self) -> None:
        """Unplug, and let go of the name."""
        self.unplug()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
