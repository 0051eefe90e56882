"""The bench of the wire measures every codec there is."""

import importlib
import inspect
import pkgutil

import pytest

import firmware_bridge.wire
from benchmarks.codecs import CODECS


def decoders() -> set[type]:
    """Every class of firmware_bridge/wire that is fed bytes."""
    modules = (
        importlib.import_module(f"firmware_bridge.wire.{found.name}")
        for found in pkgutil.iter_modules(firmware_bridge.wire.__path__)
    )
    return {
        thing
        for module in modules
        for _, thing in inspect.getmembers(module, inspect.isclass)
        if thing.__module__ == module.__name__ and hasattr(thing, "feed")
    }


def test_every_codec_has_its_row():
    missing = decoders() - {type(line.make()) for line in CODECS.values()}
    assert missing == set(), "add a line to benchmarks/codecs.py"


@pytest.mark.parametrize("name", CODECS)
def test_its_frames_are_frames(name):
    line = CODECS[name]
    assert all(line.make().feed(frame) for frame in line.frames)
    assert any(line.start in frame for frame in line.frames)
