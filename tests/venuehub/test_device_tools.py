"""`monitor` over the whole catalog: each device that answers is met through the real factory."""

import asyncio
import contextlib

import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.probing import probe_port
from firmware_bridge.simulators.kinds import Options, make_simulator
from tests.support.on_a_pty import on_a_pty
from venuehub.device_tools import catalog_pages, monitor

CATALOG = load_catalog()
SERIAL = sorted(name for name, page in CATALOG.items() if page.transport.serial is not None)
ASKED = [name for name in SERIAL if CATALOG[name].probe]


async def met(name: str, place: str) -> bool:
    """Say whether `monitor` sees the device online."""
    online = asyncio.Event()

    def on_condition(condition) -> None:
        if condition.state == "online":
            online.set()

    watching = asyncio.create_task(monitor(CATALOG[name], place, crc=False, on_event=print, on_condition=on_condition))
    seen = asyncio.create_task(online.wait())
    await asyncio.wait((watching, seen), timeout=20, return_when=asyncio.FIRST_COMPLETED)
    seen.cancel()
    if watching.done():
        watching.result()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return online.is_set()


@pytest.mark.long
def test_every_serial_device_that_answers_is_monitored_by_its_profiles_name(tmp_path):
    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(met(name, str(tmp_path / name)) for name in ASKED))

    with contextlib.ExitStack() as stack:
        for name in ASKED:
            stack.enter_context(on_a_pty(make_simulator(CATALOG[name], Options(link=tmp_path)), tmp_path / name))
        assert dict(zip(ASKED, asyncio.run(all_of_them()), strict=True)) == dict.fromkeys(ASKED, True)


@pytest.mark.slow
def test_every_serial_device_that_answers_is_found_by_probing(tmp_path):
    """A page with USB ids is only meant on such a port, and no pseudo-terminal has one."""
    wanted = [name for name in ASKED if not CATALOG[name].usb]
    assert wanted

    async def all_of_them() -> dict[str, list[str]]:
        pages = catalog_pages()
        found = await asyncio.gather(*(probe_port(str(tmp_path / name), pages) for name in wanted))
        return {name: [answer.profile for answer in answers] for name, answers in zip(wanted, found, strict=True)}

    with contextlib.ExitStack() as stack:
        for name in wanted:
            stack.enter_context(on_a_pty(make_simulator(CATALOG[name], Options(link=tmp_path)), tmp_path / name))
        found = asyncio.run(all_of_them())
    assert {name: name in profiles for name, profiles in found.items()} == dict.fromkeys(wanted, True)
