"""The board's program: its channels from config.json, and one turn after the other. `board` has the pins and the time.

board: out(pin) -> call with the level's truth; into(pin) -> call for whether it is active; uart(number, baud) -> object
with read() and write(); dial(host, port) -> a socket that does not wait; now_ms(); folder; serial.
"""

import binascii
import os

from firmware_bridge.companion import mqtt
from firmware_bridge.companion.bus import Bus
from firmware_bridge.companion.channels import Coins, Output, Reader
from firmware_bridge.companion.memory import Log, open_log
from firmware_bridge.companion.uart import FIRMWARE, Uart

KINDS = ("output", "coins", "reader")
KEEP_S = 15
REDIAL_MS = 2_000
READ_BYTES = 512
BEHIND_BYTES = 8_192
"""So much that a broker does not take: the connection is given up."""
NOT_YET = (11, 107, 115, 119, 128)
"""EAGAIN; and what a socket says that is not connected yet, on Linux and on lwIP."""


class Program:
    """Everything of one board. OSError: a log cannot be written; the board has to stop.

    ValueError: the config asks for what no board does.
    """

    def __init__(self, config: dict, board) -> None:
        if "uart" in config and "mqtt" in config:
            message = "config.json: uart or mqtt, not both: two hubs would each book the same coin"
            raise ValueError(message)
        self.boot = binascii.hexlify(os.urandom(16)).decode()
        self._board = board
        self._outputs: list = []
        self._coins: list = []
        self._readers: list = []
        devices = {}
        for entry in config["devices"]:
            devices[entry["id"]] = self._channel(entry, board)
        self._uart = None
        self._link: Link | None = None
        if "uart" in config:
            self._line = board.uart(config["uart"]["number"], config["uart"].get("baud", 115_200))
            self._uart = Uart(list(devices.values()), boot=self.boot, serial=board.serial)
        if "mqtt" in config:
            at = config["mqtt"]
            bus = Bus(
                devices,
                hub=at["hub"],
                bridge=at["bridge"],
                boot=self.boot,
                serial=board.serial,
                firmware=FIRMWARE,
            )
            self._link = Link(at, bus, board)

    def _channel(self, entry: dict, board):
        kind = entry["kind"]
        if kind not in KINDS:
            message = "config.json: kind " + kind + " of " + entry["id"] + ": one of " + ", ".join(KINDS)
            raise ValueError(message)
        if kind == "reader":
            reader = Reader(1 + int.from_bytes(os.urandom(3), "big"))
            self._readers.append((reader, board.uart(entry["uart"], entry.get("baud", 9_600))))
            return reader
        log = Log(open_log(board.folder + "/" + entry["id"] + ".log"), self.boot)
        if kind == "output":
            output = Output(
                log,
                board.out(entry["pin"]),
                width_ms=entry.get("width_ms", 50),
                gap_ms=entry.get("gap_ms", 50),
                per_credit=entry.get("per_credit", 1),
            )
            self._outputs.append(output)
            return output
        coins = Coins(log, board.out(entry["gate"]) if "gate" in entry else None)
        self._coins.append((coins, board.into(entry["pin"])))
        return coins

    def turn(self) -> None:
        """Look at everything once; call it at least every 5 ms."""
        now_ms = self._board.now_ms()
        for coins, pin in self._coins:
            coins.level(now_ms, active=pin())
        for reader, line in self._readers:
            reader.feed(line.read() or b"", now_ms)
        for output in self._outputs:
            output.tick(now_ms)
        if self._uart is not None:
            answer = self._uart.feed(self._line.read() or b"", now_ms)
            if answer:
                self._line.write(answer)
        if self._link is not None:
            self._link.turn(now_ms)


class Link:
    """A connection to the broker, made anew when it ends."""

    def __init__(self, settings: dict, bus: Bus, board) -> None:
        self._settings = settings
        self._bus = bus
        self._board = board
        self._sockets: list = []  # none, or one
        self._parser = mqtt.Parser()
        self._out = b""
        self._joined = False
        self._heard_ms = self._pinged_ms = 0
        self._dial_ms = 0

    def turn(self, now_ms: int) -> None:
        """Read, write, ping; a fault of the network closes, and it is dialled again."""
        try:
            if not self._sockets:
                self._dial(now_ms)
            else:
                self._serve(now_ms)
        except (OSError, ValueError):
            self._close(now_ms)

    def _dial(self, now_ms: int) -> None:
        if now_ms < self._dial_ms:
            return
        self._dial_ms = now_ms + REDIAL_MS
        self._sockets = [self._board.dial(self._settings["host"], self._settings.get("port", 1_883))]
        user, password = self._settings.get("user", ""), self._settings.get("password", "")
        self._out = mqtt.connect(
            self._settings["bridge"], keep_s=KEEP_S, will=self._bus.will(), user=user, password=password
        )
        self._parser = mqtt.Parser()
        self._joined = False
        self._heard_ms = self._pinged_ms = now_ms

    def _close(self, now_ms: int) -> None:
        for link in self._sockets:
            link.close()
        self._sockets = []
        self._dial_ms = now_ms + REDIAL_MS

    def _serve(self, now_ms: int) -> None:
        for kind, topic, payload in self._parser.feed(self._received(now_ms)):
            if kind == mqtt.CONNACK:
                if payload[1:2] != b"\x00":
                    raise ValueError
                self._out += mqtt.subscribe(self._bus.topics())
                self._joined = True
                self._publish(self._bus.hello())
            elif kind == mqtt.PUBLISH:
                self._publish(self._bus.heard(topic, payload, now_ms))
        if self._joined:
            self._publish(self._bus.tick(now_ms))
        if now_ms - self._pinged_ms > KEEP_S * 500:
            self._pinged_ms = now_ms
            self._out += mqtt.PING
        if now_ms - self._heard_ms > KEEP_S * 1_500 or len(self._out) > BEHIND_BYTES:
            raise ValueError
        self._send()

    def _publish(self, messages: list[tuple[str, bytes, bool]]) -> None:
        for topic, payload, retain in messages:
            self._out += mqtt.publish(topic, payload, retain=retain)

    def _received(self, now_ms: int) -> bytes:
        try:
            data = self._sockets[0].recv(READ_BYTES)
        except OSError as error:
            if error.args[0] not in NOT_YET:
                raise
            return b""
        if not data:
            raise ValueError
        self._heard_ms = now_ms
        return data

    def _send(self) -> None:
        if self._out:
            try:
                self._out = self._out[self._sockets[0].send(self._out) :]
            except OSError as error:
                if error.args[0] not in NOT_YET:
                    raise
