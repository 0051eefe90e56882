"""A board on the device bus: a bridge of its own, in JSON (docs/asyncapi.yaml). The socket is program.py's."""

import json
import os

from firmware_bridge.companion.channels import COINS, OUTPUT, READER, Answer
from firmware_bridge.companion.memory import COIN

ROOT = "vd/1/"
RESEND_MS = 1_000
AT_ONCE = 8
LONGEST = 2_048
LARGEST = 2**63 - 1
PROFILES = {OUTPUT: "companion-coin-line", COINS: "companion-coin-mech", READER: "companion-reader"}
CAPABILITIES = {OUTPUT: ["PulseCredit"], COINS: [], READER: []}


class Bus:
    """What the board says and hears there. devices: id -> channel; boot, serial: hex text.

    Each method returns messages to publish now: topic, payload, whether it is retained.
    """

    def __init__(self, devices: dict, *, hub: str, bridge: str, boot: str, serial: str, firmware: str) -> None:
        self._devices = devices
        self._prefix = ROOT + hub + "/dev/"
        self._bridge = bridge
        self._born = {"version": 1, "boot_id": boot, "bridge": bridge, "serial": serial, "firmware": firmware}
        self._epoch = int.from_bytes(os.urandom(3), "big")
        self._wishes = 0
        self._seen: dict[tuple[str, int], int] = {}
        self._sent: dict[tuple[str, int], int] = {}
        self._faults = dict.fromkeys(devices, "")

    def topics(self) -> list[str]:
        """Return what to subscribe to."""
        return [self._prefix + name + leaf for name in self._devices for leaf in ("/command", "/booked")]

    def will(self) -> tuple[str, bytes]:
        """Return the will: the board itself is offline."""
        return self._prefix + self._bridge + "/state", _packed(_state("offline", "bridge_gone"))

    def hello(self) -> list[tuple[str, bytes, bool]]:
        """Introduce the board and its devices: said behind every connection; events are told anew."""
        self._sent = {}
        said = self._introduced(self._bridge, "bridge", [], "")
        for name, channel in self._devices.items():
            said += self._introduced(name, PROFILES[channel.kind], CAPABILITIES[channel.kind], channel.fault)
        return said

    def _introduced(self, name: str, profile: str, capabilities: list, fault: str) -> list[tuple[str, bytes, bool]]:
        birth = dict(self._born)
        birth.update({"profile": profile, "capabilities": capabilities})
        state = _state("fault" if fault else "online", fault)
        return [
            (self._prefix + name + "/birth", _packed(birth), True),
            (self._prefix + name + "/state", _packed(state), True),
        ]

    def heard(self, topic: str, payload: bytes, now_ms: int) -> list[tuple[str, bytes, bool]]:
        """Take a message; what is none of ours, or no JSON of the right shape, is dropped."""
        name, _, leaf = topic[len(self._prefix) :].partition("/")
        if not topic.startswith(self._prefix) or name not in self._devices or len(payload) > LONGEST:
            return []
        try:
            message = json.loads(payload)
            if leaf == "booked":
                self._booked(self._devices[name], message)
                return []
            answer = self._command(self._devices[name], message, now_ms) if leaf == "command" else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return []
        return [self._result(name, answer)] if answer is not None else []

    def _booked(self, channel, message: dict) -> None:
        if channel.kind != READER:
            channel.log.note_booked(_whole(message["epoch"]), _whole(message["seq"]))

    def _command(self, channel, message: dict, now_ms: int) -> Answer | None:
        command_id, kind, body = message["id"], message["kind"], message["body"]
        seq, ttl_ms = _whole(message["seq"]), _whole(message["ttl_ms"])
        command_id.encode()
        if kind == "PulseCredit" and channel.kind == OUTPUT:
            if not 0 < seq <= LARGEST:
                return None
            return channel.command(command_id, seq, message["boot_id"], ttl_ms, _whole(body["credits"]), now_ms)
        if kind == "Accept" and channel.kind == COINS:
            channel.accept(on=body["on"] is True)
            return Answer(command_id, "done", 0, "")
        return Answer(command_id, "refused", 0, "not_supported")

    def _result(self, name: str, answer: Answer) -> tuple[str, bytes, bool]:
        said = {"id": answer.id, "outcome": answer.outcome, "amount": answer.amount, "reason": answer.reason}
        return self._prefix + name + "/result", _packed(said), False

    def tick(self, now_ms: int) -> list[tuple[str, bytes, bool]]:
        """Tell what is new, what nobody booked for a second, and how devices are where that changed."""
        said = []
        for name, channel in self._devices.items():
            if channel.fault != self._faults[name]:
                self._faults[name] = channel.fault
                state = _state("fault" if channel.fault else "online", channel.fault)
                said.append((self._prefix + name + "/state", _packed(state), True))
            if channel.kind == READER:
                said += self._lines(name, channel, now_ms)
            else:
                said += self._events(name, channel.log, now_ms)
        return said

    def _events(self, name: str, log, now_ms: int) -> list[tuple[str, bytes, bool]]:
        said = []
        untold = log.untold()
        open_ = [(name, record.event) for record in untold]
        for place in [place for place in self._seen if place[0] == name and place not in open_]:
            del self._seen[place]
            self._sent.pop(place, None)
        for record in untold[:AT_ONCE]:
            place = (name, record.event)
            at_ms = self._seen.setdefault(place, now_ms)
            if place in self._sent and now_ms - self._sent[place] < RESEND_MS:
                continue
            self._sent[place] = now_ms
            kind, body = "CreditDelivered", {"id": record.key, "credits": record.amount}
            if record.state == COIN:
                kind, body = "CoinInserted", {"position": record.amount, "counter": record.event}
            said.append(self._event(name, kind, record.event, log.epoch, now_ms - at_ms, body))
        return said

    def _lines(self, name: str, reader, now_ms: int) -> list[tuple[str, bytes, bool]]:
        """A card is told once: after two seconds nobody waits for it."""
        said = []
        for number, text, age_ms in reader.untold(now_ms):
            reader.note_booked(reader.epoch, number)
            uid = uid_of(text)
            if uid:
                self._wishes += 1
                body = {"media": "hid", "uid": uid, "class": "C"}
                said.append(self._event(name, "CredentialPresented", self._wishes, self._epoch, age_ms, body))
        return said

    def _event(self, name: str, kind: str, seq: int, epoch: int, age_ms: int, body: dict) -> tuple[str, bytes, bool]:
        event = {"kind": kind, "seq": seq, "epoch": epoch, "age_ms": age_ms, "body": body}
        return self._prefix + name + "/event", _packed(event), False


def uid_of(text: str) -> str:
    """Return the card's number in hex: ten decimal digits or eight of hexadecimal; nothing where it is none."""
    try:
        number = int(text) if len(text) == 10 else int(text, 16) if len(text) == 8 else -1
    except ValueError:
        return ""
    return "%08X" % number if 0 <= number < 1 << 32 else ""  # noqa: UP031


def _state(state: str, reason: str) -> dict:
    """Return a state. The board has no clock: since when is 0."""
    return {"state": state, "since_ms": 0, "reason": reason}


def _packed(message: dict) -> bytes:
    return json.dumps(message).encode()


def _whole(value: int) -> int:
    """Return a whole number that is not negative; ValueError for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError
    return value
