"""The sandbox channel in a file beside the books: commands and the running office share it, one at a time."""

import fcntl
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from back_office.payments.desk import PaymentDesk
from back_office.payments.ledger_books import LedgerBooks
from back_office.payments.pump import Pump
from back_office.payments.sandbox import CHANNEL, Sandbox
from back_office.store.engine import Store
from cloud_sync.identity import OfficeKeys

FILE: Final = "sandbox.bin"
LOCK: Final = "sandbox.lock"


class SandboxDesk(msgspec.Struct, frozen=True):
    """An office's payment orders with the sandbox as their channel."""

    desk: PaymentDesk
    sandbox: Sandbox
    pump: Pump
    clock: Callable[[], int]

    def follow(self) -> None:
        """Let the sandbox's notices in, and do what is due."""
        for data in self.sandbox.at(self.clock()):
            self.pump.notice(CHANNEL, data)
        self.pump.tick()


@contextmanager
def shared_sandbox(store: Store, keys: OfficeKeys, folder: Path, *, clock: Callable[[], int]) -> Iterator[SandboxDesk]:
    """Open the sandbox of an office's folder, wait for whoever has it, and keep it again. `clock`: UTC ms."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it goes with the file, also when the process is killed
        sandbox = Sandbox(dice=random.Random(secrets.randbits(64)), secret=keys.pepper)  # noqa: S311 - a toy's dice
        file = folder / FILE
        if file.exists():
            sandbox.restore(file.read_bytes())
        sandbox.at(clock())
        desk = PaymentDesk(store, keys.tenant_id, LedgerBooks(keys, dice=secrets.token_bytes), dice=secrets.token_bytes)
        at = SandboxDesk(desk, sandbox, Pump(desk, {CHANNEL: sandbox}, clock), clock)
        at.follow()
        before = sandbox.keep()
        yield at
        at.follow()
        if sandbox.keep() != before or not file.exists():
            fresh = file.with_suffix(".new")
            fresh.write_bytes(sandbox.keep())
            fresh.replace(file)  # the whole file or none of it


def follow_orders(store: Store, keys: OfficeKeys, folder: Path, *, clock: Callable[[], int]) -> None:
    """Do what is due for every order once: the running office calls it each second."""
    with shared_sandbox(store, keys, folder, clock=clock):
        pass
