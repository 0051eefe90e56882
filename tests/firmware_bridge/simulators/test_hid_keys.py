"""The simulated device that types."""

import pytest

from firmware_bridge.simulators.hid_keys import HidKeysSimulator
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.hid_keys import Decoder, Line


def test_it_types_like_a_device_and_a_person_like_a_person():
    keys, decoder = HidKeysSimulator(), Decoder()
    keys.command(["scan", "VH1:0", "A"], now_ms=5)
    assert decoder.feed(keys.tick(now_ms=5)) == [Line("VH1:0 A")]
    keys.command(["person", "12"], now_ms=10_000)
    assert decoder.feed(keys.tick(now_ms=10_000)) == []
    assert (keys.feed(b"x", now_ms=1), keys.status()) == (b"", {"scan": 1, "person": 1})


@pytest.mark.parametrize("line", ["scan", "sing 1", "scan 最"])
def test_a_line_it_does_not_understand_is_named(line):
    with pytest.raises(ScriptError):
        HidKeysSimulator().command(line.split(), now_ms=0)
