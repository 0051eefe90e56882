"""A simulated face module (HLK-FM225, FM223): it looks, matches, enrolls and forgets as the maker's protocol says."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import whole_number
from firmware_bridge.wire import hlk_fm22x as fm
from firmware_bridge.wire.hlk_fm22x import Decoder, Frame, Message, NoteId, Result

MOST_USERS: Final = 100
LOOK_MS: Final = 40
"""From the first look at a face to the answer, and between two notes; a real module takes 0.3 to 1 s."""
ABORTED_MS: Final = 20
"""The scan that a RESET ended is answered so long after the RESET."""
ALL_DIRECTIONS: Final = 0x1F
INCOMPLETE: Final = 0xFFFF
NO_FACE: Final = 1
BUSY: Final = 1
ENROLL, ENROLL_SINGLE, DELETE_ALL, FACE_RESET, POWER_DOWN = 0x13, 0x1D, 0x21, 0x23, 0xED
_ENROLLING: Final = {ENROLL: 35, ENROLL_SINGLE: 35, Message.ENROLL_ITG: 40}


class _User(msgspec.Struct, frozen=True):
    """An enrolled face: whose, and what the host called it."""

    who: str
    name: bytes


class _Scan(msgspec.Struct, frozen=True):
    """A VERIFY or an enrollment that looks until `until_ms`."""

    command: int
    data: bytes
    until_ms: int


class HlkFm22xSimulator:
    """A `Simulator`. `serial`: 8 characters that it tells."""

    verbs: ClassVar[Mapping[str, str]] = {
        "face NAME": "NAME stands before the camera",
        "leave": "nobody stands before the camera",
        "photo NAME": "a picture of NAME is held before the camera",
        "eyes open|closed": "the eyes of whoever stands there",
        "stand STATE": "notes say this face state, e.g. 6 for too far, although the face is matched; 0 is normal",
        "enrolled NAME ID": "NAME was enrolled as user ID some time before",
        "demo ID": "somebody switched the demo mode on: whoever comes is said to be user ID",
        "leak": "the module sends an image that nobody asked for",
        "restart": "power is lost and comes back",
        "swap SERIAL": "another module is in its place: empty, with this serial number",
        **FAULT_VERBS,
    }

    def __init__(self, *, serial: str = "FM000001") -> None:
        """Start with nobody enrolled and nobody there."""
        self._line: Final = LineFaults()
        self._decoder = Decoder()
        self._serial = serial
        self._users: dict[int, _User] = {}
        self._who, self._alive, self._eyes_open, self._state = "", True, True, fm.FACE_NORMAL
        self._demo: int | None = None
        self._directions = 0
        self._scan: _Scan | None = None
        self._look_ms = 0
        self._scans = self._matches = self._images = self._restarts = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return what is due now."""
        self._line.heard(data, now_ms=now_ms)
        for found in self._decoder.feed(data):
            if isinstance(found, Frame):
                self._hear(found, now_ms)
        return self._line.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Look, if that is due, and send what is due."""
        if self._scan is not None and now_ms >= self._look_ms:
            self._look(self._scan, now_ms)
        return self._line.due(now_ms=now_ms)

    def due_ms(self) -> int | None:
        """Return when something is due by itself."""
        dues = [due for due in (self._line.next_ms(), self._look_ms if self._scan else None) if due is not None]
        return min(dues, default=None)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        match words:
            case ["face" | "photo" | "leave" | "eyes" | "stand", *_]:
                self._stand(words)
            case ["enrolled", name, user]:
                self._users[whole_number(user, lowest=1, highest=MOST_USERS)] = _User(name, b"somebody")
            case ["demo", user]:
                self._demo = whole_number(user, lowest=0, highest=INCOMPLETE)
            case ["leak"]:
                self._leak(now_ms)
            case ["restart"]:
                self._restart(now_ms)
            case ["swap", serial]:
                self._serial, self._users, self._demo = serial[: fm.SERIAL_BYTES], {}, None
                self._restart(now_ms)
            case _:
                if not self._line.command(words, now_ms=now_ms):
                    raise unknown_line(words, self.verbs, device="a face module")
        return 0

    def _stand(self, words: list[str]) -> None:
        """Change who stands before the camera, and how."""
        match words:
            case ["face" | "photo" as verb, name]:
                self._who, self._alive = name, verb == "face"
            case ["leave"]:
                self._who = ""
            case ["eyes", "open" | "closed" as eyes]:
                self._eyes_open = eyes == "open"
            case ["stand", state]:
                self._state = whole_number(state, lowest=0, highest=20)
            case _:
                raise unknown_line(words, self.verbs, device="a face module")

    def status(self) -> dict[str, object]:
        """Return who is enrolled and what it did. images: sent to the host."""
        return {
            "users": sorted(self._users),
            "scans": self._scans,
            "matches": self._matches,
            "images": self._images,
            "restarts": self._restarts,
            "demo": self._demo is not None,
        }

    # ----------------------------------------------------------------------------------------------------- what it says

    def _reply(self, command: int, result: int, data: bytes = b"", *, now_ms: int, takes_ms: int = 0) -> None:
        frame = Frame(Message.REPLY, bytes([command, result]) + data)
        self._line.say(fm.encode(frame), now_ms=now_ms, takes_ms=takes_ms)

    def _note(self, note: NoteId, data: bytes, now_ms: int) -> None:
        self._line.say(fm.encode(Frame(Message.NOTE, bytes([note]) + data)), now_ms=now_ms)

    def _leak(self, now_ms: int) -> None:
        content = f"IMAGE-OF-{self._who or 'nobody'}/".encode() * 300
        body = bytes([Message.IMAGE]) + len(content).to_bytes(2, "big") + content
        self._images += 1
        self._line.say(fm.HEADER + body + bytes([fm.parity(body)]), now_ms=now_ms)

    def _restart(self, now_ms: int) -> None:
        self._decoder, self._scan, self._directions = Decoder(), None, 0
        self._restarts += 1
        self._line.hush()
        self._note(NoteId.READY, b"", now_ms)

    # ---------------------------------------------------------------------------------------------------- what it hears

    def _hear(self, frame: Frame, now_ms: int) -> None:
        """Answer a command; a scan is answered when it ends, and nothing but these two while it goes on."""
        command, data = frame.message, frame.data
        if command == Message.RESET:
            self._reply(command, Result.SUCCESS, now_ms=now_ms)
            if self._scan is not None:
                self._reply(self._scan.command, Result.ABORTED, now_ms=now_ms, takes_ms=ABORTED_MS)
            self._scan = None
        elif command == Message.GET_STATUS:
            self._reply(command, Result.SUCCESS, bytes([BUSY if self._scan else fm.STANDBY]), now_ms=now_ms)
        elif self._scan is not None:
            self._reply(command, Result.REJECTED, now_ms=now_ms)
        elif command == Message.VERIFY and len(data) == 2:  # noqa: PLR2004 - power down at once, seconds
            self._begin(command, data, data[1], now_ms)
        elif len(data) == _ENROLLING.get(command):
            self._begin(command, data, data[36] if command == Message.ENROLL_ITG else data[34], now_ms)
        else:
            answer = self._questions().get(command)
            result, content = answer(data) if answer else (Result.REJECTED, b"")
            self._reply(command, result, content, now_ms=now_ms)

    def _begin(self, command: int, data: bytes, seconds: int, now_ms: int) -> None:
        self._scan = _Scan(command, data, now_ms + 1000 * seconds)
        self._scans += 1
        self._look_ms = now_ms + LOOK_MS

    def _questions(self) -> dict[int, Callable[[bytes], tuple[int, bytes]]]:
        return {
            Message.DELETE_USER: self._delete,
            DELETE_ALL: lambda _: self._delete_all(),
            Message.GET_USER: self._user,
            Message.GET_ALL_USERS: lambda _: (Result.SUCCESS, self._user_list()),
            FACE_RESET: lambda _: self._forget_directions(),
            Message.GET_VERSION: lambda _: (Result.SUCCESS, b"FM225-SIM 1.0".ljust(32, b"\0")),
            Message.GET_SERIAL: lambda _: (Result.SUCCESS, self._serial.encode().ljust(32, b"\xff")),
            POWER_DOWN: lambda _: (Result.SUCCESS, b""),
            fm.DEMO_MODE: self._switch_demo,
        }

    def _delete(self, data: bytes) -> tuple[int, bytes]:
        there = self._users.pop(int.from_bytes(data, "big"), None)
        return (Result.UNKNOWN_USER if there is None else Result.SUCCESS), b""

    def _delete_all(self) -> tuple[int, bytes]:
        self._users.clear()
        return Result.SUCCESS, b""

    def _user(self, data: bytes) -> tuple[int, bytes]:
        user = self._users.get(int.from_bytes(data, "big"))
        return (Result.UNKNOWN_USER, b"") if user is None else (Result.SUCCESS, data + _name(user) + b"\0")

    def _user_list(self) -> bytes:
        return bytes([len(self._users)]) + b"".join(user.to_bytes(2, "big") for user in sorted(self._users))

    def _forget_directions(self) -> tuple[int, bytes]:
        self._directions = 0
        return Result.SUCCESS, b""

    def _switch_demo(self, data: bytes) -> tuple[int, bytes]:
        self._demo = 0 if data == b"\x01" else None
        return Result.SUCCESS, b""

    # ---------------------------------------------------------------------------------------------------- what it sees

    def _look(self, scan: _Scan, now_ms: int) -> None:
        """Look once at whoever stands there; say how the face stands, and the result if there is one."""
        self._look_ms = now_ms + LOOK_MS
        state = self._state if self._who else NO_FACE
        numbers = (state, 10, 20, 110, 140, -3, 4, 0)
        self._note(NoteId.FACE_STATE, b"".join(n.to_bytes(2, "little", signed=True) for n in numbers), now_ms)
        if self._who:
            result, data = self._verified() if scan.command == Message.VERIFY else self._enrolled(scan)
        elif now_ms >= scan.until_ms:
            result, data = Result.TIMEOUT, b""
        else:
            return
        self._scan = None
        self._reply(scan.command, result, data, now_ms=now_ms)

    def _verified(self) -> tuple[int, bytes]:
        unlock = fm.UNLOCK_NORMAL if self._eyes_open else fm.UNLOCK_EYES_CLOSED
        if self._demo is not None:
            user = self._users.get(self._demo, _User("", b"DEMO"))
            return Result.SUCCESS, self._demo.to_bytes(2, "big") + _name(user) + bytes([0, unlock])
        if not self._alive:
            return Result.LIVENESS, b""
        for number, user in self._users.items():
            if user.who == self._who:
                self._matches += 1
                return Result.SUCCESS, number.to_bytes(2, "big") + _name(user) + bytes([0, unlock])
        return Result.UNKNOWN_USER, b""

    def _enrolled(self, scan: _Scan) -> tuple[int, bytes]:
        if not self._alive:
            return Result.LIVENESS, b""
        unique = scan.command == Message.ENROLL_ITG and scan.data[35] == 0
        if unique and any(user.who == self._who for user in self._users.values()):
            return Result.ALREADY_ENROLLED, b""
        if len(self._users) >= MOST_USERS:
            return Result.TOO_MANY_USERS, b""
        if scan.command == ENROLL and scan.data[33]:
            self._directions |= scan.data[33]
            if self._directions != ALL_DIRECTIONS:
                return Result.SUCCESS, INCOMPLETE.to_bytes(2, "big") + bytes([self._directions])
        self._directions = 0
        number = next(number for number in range(1, MOST_USERS + 1) if number not in self._users)
        self._users[number] = _User(self._who, scan.data[1 : 1 + fm.NAME_BYTES])
        return Result.SUCCESS, number.to_bytes(2, "big") + b"\x01"


def _name(user: _User) -> bytes:
    return user.name[: fm.NAME_BYTES].ljust(fm.NAME_BYTES, b"\0")
