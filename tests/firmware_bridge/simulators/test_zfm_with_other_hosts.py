"""Other people's software on the simulated fingerprint modules: each enrolls a finger and identifies it."""

import importlib
import sys
import types

import pytest
import serial
from afrik_fingerprint import R503
from afrik_fingerprint.protocol import SensorCommandError
from pyfingerprint.pyfingerprint import PyFingerprint

from firmware_bridge.simulators.zfm import ZfmSimulator
from tests.support.on_a_pty import on_a_pty
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def test_afrik_fingerprint_enrolls_identifies_and_deletes_on_an_r503(tmp_path):
    with on_a_pty(ZfmSimulator("r503"), tmp_path / "finger") as running, R503(str(running.link)) as sensor:
        with pytest.raises(SensorCommandError, match="No finger detected"):
            sensor.identify()
        running.say("finger li 77")
        eventually(lambda: no_error(sensor.capture_image))
        sensor.enroll(4)
        assert sensor.identify() == (4, 77)
        assert running.status()["pages"] == [4]
        sensor.delete_template(4)
        with pytest.raises(SensorCommandError, match="No matching fingerprint"):
            sensor.identify()
        assert running.status()["pages"] == []


def no_error(call) -> bool:
    """Say whether a finger was seen."""
    try:
        call()
    except SensorCommandError:
        return False
    return True


@pytest.mark.parametrize(("model", "capacity"), [("zfm20", 150), ("r307", 1_000)])
def test_pyfingerprint_enrolls_identifies_and_moves_a_template(tmp_path, model, capacity):
    with on_a_pty(ZfmSimulator(model), tmp_path / "finger") as running:
        sensor = PyFingerprint(str(running.link), 57600, 0xFFFFFFFF, 0)
        assert sensor.verifyPassword()
        assert (sensor.getStorageCapacity(), sensor.getSecurityLevel(), sensor.getTemplateCount()) == (capacity, 3, 0)
        assert sensor.readImage() is False
        running.say("finger li")
        eventually(sensor.readImage)
        sensor.convertImage(1)
        assert sensor.searchTemplate() == (-1, -1)
        sensor.readImage()
        sensor.convertImage(2)
        assert sensor.compareCharacteristics() == 120
        assert sensor.createTemplate()
        assert sensor.storeTemplate() == 0
        sensor.readImage()
        sensor.convertImage(1)
        assert sensor.searchTemplate() == (0, 120)
        assert sensor.getTemplateIndex(0)[:3] == [True, False, False]
        template = sensor.downloadCharacteristics(1)
        assert len(template) == 512
        assert sensor.uploadCharacteristics(2, template)
        assert sensor.compareCharacteristics() == 120
        assert sensor.deleteTemplate(0)
        assert sensor.getTemplateCount() == 0
        del sensor


def test_adafruit_circuitpython_fingerprint_enrolls_identifies_and_lists_on_an_as608(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "busio", types.SimpleNamespace(UART=object))  # its board is not used here
    monkeypatch.setitem(sys.modules, "micropython", types.SimpleNamespace(const=lambda value: value))
    library = importlib.import_module("adafruit_fingerprint")
    with (
        on_a_pty(ZfmSimulator("as608"), tmp_path / "finger") as running,
        serial.Serial(str(running.link), 57600, timeout=2) as port,
    ):
        sensor = library.Adafruit_Fingerprint(port)
        assert (sensor.library_size, sensor.check_module()) == (300, True)
        assert sensor.get_image() == library.NOFINGER
        running.say("finger li")
        eventually(lambda: sensor.get_image() == library.OK)
        for slot in (1, 2):
            assert (sensor.get_image(), sensor.image_2_tz(slot)) == (library.OK, library.OK)
        assert sensor.finger_fast_search() == library.NOTFOUND
        assert (sensor.create_model(), sensor.store_model(299)) == (library.OK, library.OK)
        assert (sensor.finger_search(), sensor.finger_id, sensor.confidence) == (library.OK, 299, 120)
        assert (sensor.read_templates(), sensor.templates) == (library.OK, [299])
        assert (sensor.delete_model(299), sensor.finger_fast_search()) == (library.OK, library.NOTFOUND)
