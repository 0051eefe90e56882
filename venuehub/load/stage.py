"""An office and a broker of one's own, as processes: what a fleet meets where nobody names another."""

import asyncio
import time
from pathlib import Path
from typing import Final, Self

from payment_core.identifiers import uuid_text
from venuehub.demo.brokers import find_mosquitto, free_port
from venuehub.demo.processes import Child, python_module
from venuehub.errors import CliError, ExitCode
from venuehub.load.enrolment import found
from venuehub.office.broker import office_access, office_broker

LOOPBACK: Final = "127.0.0.1"
READY_S: Final = 30.0
_LOOK_S: Final = 0.02


class OwnOffice:
    """`async with`: keys, books, mosquitto with TLS as it ships, and `office run`, all in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "office"
        self.logs = folder
        self.port = free_port()
        self.office_port = free_port()
        self.broker: Child
        self.office: Child

    async def __aenter__(self) -> Self:
        """Make and start everything; CliError says what did not come up."""
        mosquitto = find_mosquitto()
        if mosquitto is None:
            raise CliError(
                "no_broker", "no mosquitto found", hint="apt-get install mosquitto, or name a broker with --broker",
                exit_code=ExitCode.UNAVAILABLE,
            )  # fmt: skip
        self._mosquitto = mosquitto
        keys = found(self.folder, broker_hosts=(LOOPBACK,))
        (self.folder / "acl").write_text(office_access(uuid_text(keys.tenant_id)))
        own_user = f"user {self.folder.owner()}\n"  # as root, mosquitto would become another user and lose the folder
        config = office_broker(folder=self.folder, port=self.port, office_port=self.office_port, address=LOOPBACK)
        (self.folder / "mosquitto.conf").write_text(config + own_user)
        await self.start_broker()
        return self

    async def __aexit__(self, *fault: object) -> None:
        """End the office, then the broker."""
        for name in ("office", "broker"):
            child: Child | None = getattr(self, name, None)
            if child is not None:
                await child.stop()

    async def start_broker(self) -> None:
        """Start mosquitto and wait until it listens."""
        command = [self._mosquitto, "-c", str(self.folder / "mosquitto.conf")]
        self.broker = Child("broker", command, log=self.logs / "broker.log")
        await self.broker.start()
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.broker.running:
            try:
                _reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            except OSError:
                await asyncio.sleep(_LOOK_S)
                continue
            writer.close()
            return
        raise _not_started(self.broker)

    async def start_office(self, *, program: str = "run", restart: bool = False) -> None:
        """Start `office run`, or another program of the office, and wait until it says that it is ready.

        restart: start it again whenever it ends, as a supervisor would.
        """
        log = self.logs / "office.log"
        arguments = ["office", program, "--dir", str(self.folder), "--json"]
        command = python_module("venuehub", *arguments, "--broker", f"mqtts://{LOOPBACK}:{self.office_port}")
        said_before = log.stat().st_size if log.exists() else 0
        self.office = Child("office", command, log=log, restart=restart)
        await self.office.start()
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.office.running:
            if b'"ready":true' in log.read_bytes()[said_before:]:
                return
            await asyncio.sleep(_LOOK_S)
        raise _not_started(self.office)


def _not_started(child: Child) -> CliError:
    return CliError(
        "not_started", f"{child.name} did not start: {child.last_words()}", hint="run again with --keep DIR: its logs",
        exit_code=ExitCode.UNAVAILABLE,
    )  # fmt: skip
