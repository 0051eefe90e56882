"""The simulated face module, and other people's codec on it: scans, enrollment, states and refusals."""

import fm22x
import pytest
from fm22x.note import NidFaceState, NidReady
from fm22x.request import (
    DeleteAll,
    DeleteUser,
    Enroll,
    EnrollSingle,
    FaceDir,
    GetStatus,
    GetUserInfo,
    GetVersion,
    MidGetAllUserid,
    MidGetSN,
    Request,
    Reset,
    Verify,
)
from fm22x.response import MsgResultCode, Status

from firmware_bridge.simulators.hlk_fm22x import HlkFm22xSimulator
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire import hlk_fm22x as fm
from firmware_bridge.wire.hlk_fm22x import Decoder, Frame, Message


class Host:
    """fm22x 0.0.1 on a simulated module, with a clock of its own."""

    def __init__(self) -> None:
        self.simulator = HlkFm22xSimulator()
        self.connection = fm22x.Connection()
        self.now_ms = 0

    def say(self, *lines: str) -> None:
        for line in lines:
            self.simulator.command(line.split(), now_ms=self.now_ms)

    def heard(self, *, after_ms: int) -> list:
        """Return what comes within so long."""
        found = []
        for _ in range(0, after_ms, 10):
            self.now_ms += 10
            found += self.connection.receive(self.simulator.tick(now_ms=self.now_ms))
        return found

    def ask(self, request: Request, *, after_ms: int = 0) -> list:
        """Send a request and return what comes back."""
        sent = self.simulator.feed(self.connection.send(request), now_ms=self.now_ms)
        return [*self.connection.receive(sent), *self.heard(after_ms=after_ms)]


def test_a_face_is_enrolled_verified_listed_and_deleted_by_other_peoples_codec():
    host = Host()
    host.say("face li")
    *notes, enrolled = host.ask(EnrollSingle(False, "li", FaceDir.MIDDLE, 5), after_ms=200)
    assert (enrolled.result, enrolled.user_id, enrolled.face_direction) == (MsgResultCode.SUCCESS, 1, 1)
    assert {type(note) for note in notes} == {NidFaceState}
    *_, verified = host.ask(Verify(False, 5), after_ms=200)
    assert (verified.user_id, verified.user_name.rstrip("\0"), verified.unlock_status) == (1, "li", 0xC8)
    (listed,) = host.ask(MidGetAllUserid())
    assert (listed.user_counts, listed.user_id) == (1, [1])
    (user,) = host.ask(GetUserInfo(1))
    assert (user.user_id, user.user_name.rstrip("\0"), user.admin) == (1, "li", False)
    assert host.ask(DeleteUser(1))[0].result == MsgResultCode.SUCCESS
    assert host.ask(DeleteUser(1))[0].result == MsgResultCode.FAILED4_UNKNOWNUSER
    *_, verified = host.ask(Verify(False, 5), after_ms=200)
    assert verified.result == MsgResultCode.FAILED4_UNKNOWNUSER
    assert host.ask(DeleteAll())[0].result == MsgResultCode.SUCCESS


def test_who_it_is():
    host = Host()
    assert host.ask(MidGetSN())[0].data[:8] == b"FM000001"
    assert host.ask(GetVersion())[0].version.startswith("FM225-SIM 1.0")
    assert host.ask(GetStatus())[0].status == Status.IDLE


def test_one_command_at_a_time_and_a_reset_ends_a_scan_that_is_answered_behind_it():
    host = Host()
    assert host.ask(Verify(False, 5)) == []
    assert host.ask(GetStatus())[0].status == Status.BUSY
    assert host.ask(GetVersion())[0].result == MsgResultCode.MR_REJECTED
    reset, aborted = host.ask(Reset(), after_ms=50)
    assert (reset.mid, reset.result) == (0x10, MsgResultCode.SUCCESS)
    assert (aborted.mid, aborted.result) == (0x12, MsgResultCode.ABORTED)
    assert host.ask(GetStatus())[0].status == Status.IDLE


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        (["leave"], MsgResultCode.FAILED4_TIMEOUT),
        (["photo li"], MsgResultCode.FAILED4_LIVENESSCHECK),
        (["face an"], MsgResultCode.FAILED4_UNKNOWNUSER),
        (["face li"], MsgResultCode.SUCCESS),
    ],
)
def test_how_a_scan_ends(lines, result):
    host = Host()
    host.say("enrolled li 3", *lines)
    assert host.ask(Verify(False, 1), after_ms=1_100)[-1].result == result


def test_closed_eyes_are_told_in_a_success():
    host = Host()
    host.say("enrolled li 3", "face li", "eyes closed")
    assert host.ask(Verify(False, 1), after_ms=200)[-1].unlock_status == 0xCC


def test_notes_say_low_byte_first_how_a_face_stands():
    host = Host()
    host.say("face li", "stand 6")
    note = host.ask(Verify(False, 1), after_ms=100)[0]
    assert note.data[:4] == bytes.fromhex("06000A00")  # ESPHome reads it so; fm22x takes the high byte first


def test_five_directions_make_a_face():
    host = Host()
    host.say("face li")
    for direction in (FaceDir.UP, FaceDir.DOWN, FaceDir.LEFT, FaceDir.RIGHT):
        assert host.ask(Enroll(False, "li", direction, 5), after_ms=100)[-1].user_id == 0xFFFF
    assert host.ask(Enroll(False, "li", FaceDir.MIDDLE, 5), after_ms=100)[-1].user_id == 1


def test_a_restart_says_ready_and_forgets_the_scan():
    host = Host()
    host.ask(Verify(False, 5))
    host.say("restart")
    (ready,) = host.heard(after_ms=200)
    assert isinstance(ready, NidReady)
    assert host.ask(GetStatus())[0].status == Status.IDLE


def test_the_demo_mode_compares_nothing():
    simulator = HlkFm22xSimulator()
    simulator.command(["face", "stranger"], now_ms=0)
    assert simulator.feed(fm.encode(Frame(fm.DEMO_MODE, b"\x01")), now_ms=0) == bytes.fromhex("EFAA000002FE00FC")
    simulator.feed(fm.encode(fm.pack_verify(timeout_s=1)), now_ms=0)
    reply = Decoder().feed(simulator.tick(now_ms=100))[-1]
    assert reply.data[:4] == bytes([Message.VERIFY, 0, 0, 0])


@pytest.mark.parametrize("line", ["dance", "face", "eyes shut", "stand 99", "enrolled li 0", "demo many"])
def test_a_bad_line_is_refused(line):
    with pytest.raises(ScriptError):
        HlkFm22xSimulator().command(line.split(), now_ms=0)
