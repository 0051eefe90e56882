"""A simulated fingerprint module (R503, R307, AS608, ZFM-20): any host software of the family can use it."""

from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import whole_number
from firmware_bridge.simulators.zfm_module import MODELS, Features, ZfmModule
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Decoder, Packet

GOOD_SCORE: Final = 120
BYTES_PER_MS: Final = 5.76
"""57,600 baud: only templates and images are long enough for their time on the line to matter."""
GAP_MS: Final = 200
LONGEST_NAME: Final = 32
LONGEST_SERIAL: Final = 8
MOST_MESSY: Final = 10_000


class ZfmSimulator:
    """A `Simulator`. `model`: a name of `MODELS`; `serial`: its serial number, which only an R503 tells."""

    verbs: ClassVar[Mapping[str, str]] = {
        "finger NAME [SCORE]": "NAME's finger is laid on the glass; SCORE is how sure a match is, 120 where not said",
        "lift": "no finger lies on the glass",
        "messy COUNT": "from the next COUNT images nothing can be read",
        "stored NAME PAGE": "NAME was enrolled under PAGE some time before",
        "leak": "the module sends a template and an image that nobody asked for",
        "reset": "power is lost and comes back",
        "swap SERIAL": "another module of the same model is in its place: empty, with this serial number",
        **FAULT_VERBS,
    }

    def __init__(self, model: str = "r503", *, serial: str = "VH000001") -> None:
        """Start with an empty library and nothing on the glass. ScriptError where there is no such model."""
        if model not in MODELS:
            message = f"{model!r} is no fingerprint module; there are {', '.join(MODELS)}"
            raise ScriptError(message)
        self._module = ZfmModule(MODELS[model], serial=serial)
        self._line: Final = LineFaults()
        self._decoder = Decoder()
        self._heard_at_ms = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return what is due now."""
        if now_ms - self._heard_at_ms > GAP_MS:
            self._decoder = Decoder()
        self._heard_at_ms = now_ms
        self._line.heard(data, now_ms=now_ms)
        for found in self._decoder.feed(data):
            if isinstance(found, Packet):
                self._say(self._module.hear(found), now_ms)
        return self._line.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Send what is due."""
        return self._line.due(now_ms=now_ms)

    def due_ms(self) -> int | None:
        """Return when something is due by itself."""
        return self._line.next_ms()

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        module = self._module
        match words:
            case ["finger", name, *score] if len(score) <= 1:
                sure = whole_number(score[0], lowest=0, highest=0xFFFF) if score else GOOD_SCORE
                module.finger = Features(module.template_of(_name(name)), score=sure)
            case ["lift"]:
                module.finger = None
            case ["messy", count]:
                module.messy = whole_number(count, lowest=0, highest=MOST_MESSY)
            case ["stored", name, page]:
                page_id = whole_number(page, lowest=0, highest=module.model.capacity - 1)
                module.library[page_id] = module.template_of(_name(name))
            case ["leak"]:
                secret = module.finger.code if module.finger else module.template_of("nobody")
                self._say(module.data_frames(secret) + module.data_frames(b"IMAGE" + secret), now_ms)
            case ["reset"]:
                self._restart(now_ms)
            case ["swap", serial] if len(serial) <= LONGEST_SERIAL:
                self._module = ZfmModule(module.model, serial=serial)
                self._restart(now_ms)
            case _:
                if not self._line.command(words, now_ms=now_ms):
                    raise unknown_line(words, self.verbs, device="a fingerprint module")
        return 0

    def status(self) -> dict[str, object]:
        """Return what it holds and did. looks: at the glass; images: of a finger; uploads: what a host asked out."""
        module = self._module
        return {
            "pages": sorted(module.library),
            "looks": module.looks,
            "images": module.images,
            "searches": module.searches,
            "matches": module.matches,
            "uploads": module.uploads,
            "light": list(module.light),
            "notepad": sorted(module.notepad),
        }

    def _restart(self, now_ms: int) -> None:
        self._decoder = Decoder()
        self._line.hush()
        ready = self._module.restart()
        if ready:
            self._line.say(ready, now_ms=now_ms)

    def _say(self, frames: list[bytes], now_ms: int) -> None:
        for frame in frames:
            long = len(frame) > zfm.HEAD_BYTES + zfm.SUM_BYTES + 1 and frame[6] != zfm.PacketKind.ACK
            self._line.say(frame, now_ms=now_ms, takes_ms=int(len(frame) / BYTES_PER_MS) if long else 0)


def _name(word: str) -> str:
    if len(word) > LONGEST_NAME:
        message = f"{word[:LONGEST_NAME]!r}... is too long a name: at most {LONGEST_NAME} characters"
        raise ScriptError(message)
    return word
