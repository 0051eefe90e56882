"""Fingerprint and face modules are told apart by harmless questions."""

import asyncio

import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.probing import probe_port
from firmware_bridge.simulators.hlk_fm22x import HlkFm22xSimulator
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Parameters
from tests.support.on_a_pty import on_a_pty

PAGES = [page for page in load_catalog().values() if page.biometric is not None]


@pytest.mark.parametrize(
    ("model", "page"), [("r503", "r503"), ("r307", "r307"), ("as608", "as608"), ("zfm20", "as608")]
)
def test_each_fingerprint_module_has_one_page_and_nothing_is_written_into_it(tmp_path, model, page):
    with on_a_pty(ZfmSimulator(model), tmp_path / "port") as running:
        found = asyncio.run(probe_port(str(running.link), [page for page in PAGES if page.probe == "zfm"]))
        assert [who.profile for who in found] == [page]
        assert running.status()["notepad"] == []


def test_a_face_module_tells_its_number(tmp_path):
    with on_a_pty(HlkFm22xSimulator(), tmp_path / "port") as running:
        found = asyncio.run(probe_port(str(running.link), [page for page in PAGES if page.probe == "hlk"]))
    assert [(who.profile, who.serial) for who in found] == [("hlk-fm225", "FM000001")]


def test_what_cannot_be_a_module_s_parameters_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(zfm, "read_parameters", lambda _: Parameters(capacity=150, security=9, size=2, speed=6))
    with on_a_pty(ZfmSimulator("zfm20"), tmp_path / "port") as running:
        assert asyncio.run(probe_port(str(running.link), [page for page in PAGES if page.probe == "zfm"])) == []
