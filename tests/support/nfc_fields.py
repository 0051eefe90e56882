"""Fields for what is asked of a card, without a line between: a simulated chip's, and a card written out."""

from firmware_bridge.drivers.nfc_cards import Target
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.wire import pn532, type2_tag


class ChipField:
    """The field of a simulated chip, without a line between. It notes what was sent to the card."""

    def __init__(self, card: str) -> None:
        self.simulator = Pn532Simulator(card=card)
        self.sent: list[str] = []
        self._ask("120010")
        self._ask("3205010000")

    def look(self, *, attempts: int) -> Target | None:
        del attempts
        answer = self._ask("4A0100")
        if answer[1:2] == b"\x01":
            return Target(uid=answer[7 : 7 + answer[6]], sak=answer[5])
        answer = self._ask("4A010100FFFF0100")
        return Target(uid=answer[5:13], sak=None) if answer[1:2] == b"\x01" else None

    def off(self) -> None:
        self._ask("320102")

    def apdu(self, command: bytes) -> bytes | None:
        self.sent.append(command.hex().upper())
        return self._good(self._ask("4001" + command.hex()))

    def frame(self, data: bytes) -> bytes | None:
        self.sent.append(data.hex().upper())
        write = data[0] == type2_tag.WRITE
        answer = self._ask(("4001" if write else "42") + data.hex())
        if answer[1] == pn532.STATUS_TIMEOUT:
            return None
        return (self._good(answer) or b"\x0a") if answer[1] == pn532.STATUS_OK else b""

    def _ask(self, command: str) -> bytes:
        raw = pn532.encode(pn532.DataFrame(pn532.TO_CHIP, bytes.fromhex(command)))
        answers = pn532.Decoder().feed(self.simulator.feed(raw, now_ms=0) + self.simulator.tick(now_ms=5))
        return next((answer.body for answer in answers if isinstance(answer, pn532.DataFrame)), b"")

    @staticmethod
    def _good(answer: bytes) -> bytes | None:
        return answer[2:] if answer[1] == pn532.STATUS_OK else None


class WrittenCard:
    """A card whose every answer is written out; what is not written stays unanswered. It leaves after `looks`."""

    def __init__(self, target: Target, answers: dict[str, str], *, looks: int = 9) -> None:
        self.target = target
        self.sent: list[str] = []
        self._answers = answers
        self._looks = looks

    def look(self, *, attempts: int) -> Target | None:
        assert attempts > 0
        self._looks -= 1
        return self.target if self._looks >= 0 else None

    def off(self) -> None:
        self.sent.append("off")

    def apdu(self, command: bytes) -> bytes | None:
        return self.frame(command)

    def frame(self, data: bytes) -> bytes | None:
        self.sent.append(data.hex().upper())
        answer = self._answers.get(self.sent[-1])
        return None if answer is None else bytes.fromhex(answer)
