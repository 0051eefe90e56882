"""`monitor` over the whole catalog: each device that answers is met through the real factory."""

import asyncio
import contextlib
import json

import pytest
import typer

from device_profiles.loading import CATALOG as CATALOG_FOLDER
from device_profiles.loading import load_catalog
from firmware_bridge.probing import probe_port
from firmware_bridge.simulators.kinds import Options, make_simulator
from tests.support.on_a_pty import on_a_pty
from venuehub import device_questions
from venuehub.commands import device as app
from venuehub.device_tools import catalog_pages, monitor
from venuehub.errors import CliError

CATALOG = load_catalog()
PAGES = catalog_pages()
SERIAL = sorted(name for name, page in CATALOG.items() if page.transport.serial is not None)
ASKED = [name for name in SERIAL if CATALOG[name].probe]


async def met(name: str, place: str) -> bool:
    """Say whether `monitor` sees the device online."""
    online = asyncio.Event()

    def on_condition(condition) -> None:
        if condition.state == "online":
            online.set()

    watching = asyncio.create_task(
        monitor(CATALOG[name], place, crc=False, pages=PAGES, on_event=print, on_condition=on_condition)
    )
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
        found = await asyncio.gather(*(probe_port(str(tmp_path / name), PAGES) for name in wanted))
        return {name: [answer.profile for answer in answers] for name, answers in zip(wanted, found, strict=True)}

    with contextlib.ExitStack() as stack:
        for name in wanted:
            stack.enter_context(on_a_pty(make_simulator(CATALOG[name], Options(link=tmp_path)), tmp_path / name))
        found = asyncio.run(all_of_them())
    assert {name: name in profiles for name, profiles in found.items()} == dict.fromkeys(wanted, True)


@pytest.mark.slow
def test_a_venue_s_own_page_is_listed_probed_watched_and_checked(tmp_path, capsys):
    folder = tmp_path / "our-pages"
    folder.mkdir()
    shipped = next(path for path in CATALOG_FOLDER.rglob("pn532-uart.toml")).read_text("utf-8")
    (folder / "our-reader.toml").write_text(shipped.replace('"pn532-uart"', '"our-reader"'), "utf-8")
    app.list_(profiles=folder, as_json=True)
    names = {page["name"] for page in json.loads(capsys.readouterr().out)["profiles"]}
    assert names == {*CATALOG, "our-reader"}
    with (
        on_a_pty(make_simulator(CATALOG["pn532-uart"], Options(link=tmp_path)), tmp_path / "reader"),
        pytest.raises(typer.Exit),  # two pages fit: a person has to choose
    ):
        app.probe(str(tmp_path / "reader"), profiles=folder, as_json=True)
    found = {answer["profile"] for answer in json.loads(capsys.readouterr().out)["found"]}
    assert found == {"pn532-uart", "our-reader"}
    with pytest.raises(CliError, match="no such device"):
        app.monitor("our-reader", str(tmp_path / "away"), profiles=folder)
    device_questions.check("our-reader", profiles=folder, as_json=True)
    assert {case["problem"] for case in json.loads(capsys.readouterr().out)["cases"]} == {""}
    with pytest.raises(CliError, match="'our-reader' is not in the catalog"):
        device_questions.check("our-reader")
    (folder / "our-reader.toml").write_text(shipped, "utf-8")
    with pytest.raises(CliError, match=r"name is 'pn532-uart', the file 'our-reader\.toml'"):
        app.list_(profiles=folder)
