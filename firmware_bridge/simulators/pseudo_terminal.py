"""A pseudo-terminal under a name of our choice, that can be unplugged and plugged in again."""

import contextlib
import os
import tty
from pathlib import Path
from typing import Final


class Pty:
    """A pseudo-terminal whose far end has a name of our choice: `link` points to it while it is plugged in."""

    def __init__(self, link: Path) -> None:
        self.link: Final = link
        self.master = self.slave = -1
        self.target = ""

    @property
    def plugged(self) -> bool:
        """Say whether the link is there."""
        return self.master >= 0

    def plug(self) -> None:
        """Make the terminal, raw at both ends, and the link; OSError where a file that is no link has its name."""
        if os.path.lexists(self.link) and not self.link.is_symlink():
            message = f"{self.link} exists and is not a link: choose another path"
            raise FileExistsError(message)
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
