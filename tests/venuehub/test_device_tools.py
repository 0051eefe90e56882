"""`monitor` over the whole catalog: each device that answers is met through the real factory."""

import asyncio
import contextlib
import json

import msgspec
import pytest
import typer

from device_profiles.loading import CATALOG as CATALOG_FOLDER
from device_profiles.loading import SettingsError, load_catalog
from firmware_bridge.ports import UsbPort
from firmware_bridge.probing import probe_port
from firmware_bridge.simulators.kinds import Options, make_simulator
from tests.support.on_a_pty import RunningSimulator, on_a_pty
from venuehub import device_questions, device_tools
from venuehub.commands import device as app
from venuehub.device_tools import catalog_pages, device_at, monitor
from venuehub.errors import CliError

pytestmark = pytest.mark.long

CATALOG = load_catalog()
PAGES = catalog_pages()
SERIAL = sorted(name for name, page in CATALOG.items() if page.transport.serial is not None)
ASKED = [name for name in SERIAL if CATALOG[name].probe]


AT_ONCE = 5
TOUCHES = ("stored li 7", *("pause 500ms", "finger li", "pause 500ms", "lift") * 2)
"""A finger counts when the glass was seen empty before."""
PERSON: dict[str, tuple[tuple[str, ...], str]] = {
    "cctalk-coin-acceptor": (("coin 3",), "CoinInserted"),
    "companion-coin-mech": (("coin", "pause 500ms", "coin"), "CoinInserted"),
    "companion-reader": (("card 0012345678",), "CredentialPresented"),
    "itl-nv9-essp": (("note 3",), "CoinInserted"),
    "itl-nv9-ssp": (("note 3",), "CoinInserted"),
    "qibixx-coin-changer": (("coin 2",), "CoinInserted"),
    "qibixx-coins-and-notes": (("note 2",), "CoinInserted"),
    "qibixx-vending": (("choose 5",), "VendRequested"),
    "as608": (TOUCHES, "CredentialPresented"),
    "r307": (TOUCHES, "CredentialPresented"),
    "r503": (TOUCHES, "CredentialPresented"),
    "pn532-uart": (("put ntag213:04A1B2C3D4E580",), "CredentialPresented"),
    "pn532-usb-serial": (("put ntag213:04A1B2C3D4E580",), "CredentialPresented"),
    "gm65-serial": (("show VM1:HELLO",), "CodeScanned"),
}
"""What a person does at a device, and the event that the watcher then sees. The others only answer to commands."""


async def met(name: str, running: RunningSimulator) -> bool:
    """Say whether `monitor` sees the device online, and the event behind what a person does there."""
    lines, wanted = PERSON.get(name, ((), "online"))
    seen = asyncio.Event()

    def on_condition(condition) -> None:
        if condition.state == "online":
            running.say(*lines)
            told(condition.state)

    def told(kind: str) -> None:
        if kind == wanted:
            seen.set()

    def on_event(event) -> None:
        told(json.loads(msgspec.json.encode(event))["kind"])  # as --json prints it

    place = str(running.link)
    watching = asyncio.create_task(
        monitor(CATALOG[name], place, crc=False, pages=PAGES, on_event=on_event, on_condition=on_condition)
    )
    waiting = asyncio.create_task(seen.wait())
    await asyncio.wait((watching, waiting), timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        watching.result()
    for task in (watching, waiting):
        task.cancel()
    await asyncio.gather(watching, waiting, return_exceptions=True)
    return seen.is_set()


@pytest.mark.long
def test_every_serial_device_is_watched_by_its_profiles_name_and_tells_what_a_person_does_there(tmp_path):
    async def all_of_them() -> dict[str, bool]:
        room = asyncio.Semaphore(AT_ONCE)

        async def in_turn(name: str) -> bool:
            async with room:
                return await met(name, there[name])

        return dict(zip(SERIAL, await asyncio.gather(*map(in_turn, SERIAL)), strict=True))

    with contextlib.ExitStack() as stack:
        there = {
            name: stack.enter_context(on_a_pty(make_simulator(CATALOG[name], Options(link=tmp_path)), tmp_path / name))
            for name in SERIAL
        }
        assert asyncio.run(all_of_them()) == dict.fromkeys(SERIAL, True)


@pytest.mark.parametrize("name", SERIAL)
def test_every_serial_device_is_emulated_by_its_profiles_name_with_a_script(tmp_path, name):
    script = tmp_path / "script"
    script.write_text("unplug 1ms\npause 1ms\nquit\n", "utf-8")
    with pytest.raises(typer.Exit) as ended:
        app.emulate(name, link=tmp_path / "port", script=script, status=tmp_path / "status.json")
    assert ended.value.exit_code == 0
    assert json.loads((tmp_path / "status.json").read_text("utf-8"))


@pytest.mark.slow
def test_every_serial_device_that_answers_is_found_by_probing(tmp_path):
    """A page with USB ids is only meant on such a port, and no pseudo-terminal has one."""
    wanted = [name for name in ASKED if not CATALOG[name].usb]
    assert wanted

    async def all_of_them() -> dict[str, list[str]]:
        room = asyncio.Semaphore(AT_ONCE)  # a device that waits for its turn on a busy computer answers too late

        async def in_turn(name: str) -> list[str]:
            async with room:
                return [answer.profile for answer in await probe_port(str(tmp_path / name), PAGES)]

        return dict(zip(wanted, await asyncio.gather(*map(in_turn, wanted)), strict=True))

    with contextlib.ExitStack() as stack:
        for name in wanted:
            stack.enter_context(on_a_pty(make_simulator(CATALOG[name], Options(link=tmp_path)), tmp_path / name))
        found = asyncio.run(all_of_them())
    assert {name: name in profiles for name, profiles in found.items()} == dict.fromkeys(wanted, True)


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("r503", "module.sock", "is on a port, not on lines; give its port"),
        ("prize-sensor", "/dev/ttyUSB0", "is on lines, not on a port; give its pins"),
        ("prize-sensor", "pins:prize", "write pins:ROLE=BCM"),
        ("prize-sensor", "pins:coin=4", "pins.coin is not a line of 'prize-sensor'"),
    ],
)
def test_a_place_where_such_a_device_never_is_gets_a_remedy(name, place, said):
    with pytest.raises(SettingsError, match=said):
        device_at(CATALOG[name], place)


def test_a_device_on_lines_is_watched_on_its_pins():
    assert device_at(CATALOG["parallel-hopper"], "pins:run=17,notch=4").pins == {"run": 17, "notch": 4}


def test_check_without_a_profile_checks_all(capsys, monkeypatch):
    pages = [CATALOG["prize-sensor"], CATALOG["door-switch"]]
    monkeypatch.setattr(device_questions, "pages_with", lambda _own: pages)
    device_questions.check()
    told = capsys.readouterr().out
    assert [f"ok     {page.name}: {len(page.golden)} golden cases" for page in pages] == told.splitlines()
    wrong = msgspec.structs.replace(pages[0].golden[0], events=())
    pages[0] = msgspec.structs.replace(pages[0], golden=(wrong,))
    with pytest.raises(typer.Exit) as ended:
        device_questions.check(as_json=True)
    assert ended.value.exit_code == 1
    first, second = json.loads(capsys.readouterr().out)["profiles"]
    assert first["cases"][0]["problem"]
    assert not any(case["problem"] for case in second["cases"])


def test_probe_names_the_ports_and_says_what_is_never_listed(capsys, monkeypatch):
    port = UsbPort("/dev/ttyUSB7", "10c4:ea60", "0001", "bridge", ())
    monkeypatch.setattr(device_tools, "plugged_in", lambda _pages: [device_tools.Plugged(port, ("pn532-usb-serial",))])
    app.probe()
    told = capsys.readouterr()
    assert told.out == "/dev/ttyUSB7 10c4:ea60 0001 pn532-usb-serial\n"
    assert "/dev/serial0" in told.err


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
    told = capsys.readouterr()
    assert f"our-reader: {CATALOG['pn532-uart'].title}" in told.err
    found = {answer["profile"] for answer in json.loads(told.out)["found"]}
    assert found == {"pn532-uart", "our-reader"}
    with pytest.raises(CliError, match="no such device"):
        app.monitor("our-reader", str(tmp_path / "away"), profiles=folder)
    device_questions.check("our-reader", profiles=folder, as_json=True)
    assert {case["problem"] for case in json.loads(capsys.readouterr().out)["cases"]} == {""}
    script = tmp_path / "script"
    script.write_text("quit\n", "utf-8")
    with pytest.raises(typer.Exit) as ended:
        app.emulate("our-reader", link=tmp_path / "port", script=script, profiles=folder)
    assert ended.value.exit_code == 0
    capsys.readouterr()
    with pytest.raises(CliError, match="'our-reader' is not in the catalog"):
        device_questions.check("our-reader")
    (folder / "our-reader.toml").write_text(shipped, "utf-8")
    with pytest.raises(CliError, match=r"name is 'pn532-uart', the file 'our-reader\.toml'"):
        app.list_(profiles=folder)
