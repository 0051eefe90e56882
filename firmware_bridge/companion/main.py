"""Starts the program on a board with MicroPython (ESP32, RP2040); copied to the board as main.py."""

import binascii
import json
import socket
import time

import machine

from firmware_bridge.companion.program import NOT_YET, Program

TURN_MS = 2
WATCHDOG_MS = 8_000


class Board:
    """The pins, UARTs and network of this board."""

    def __init__(self, config: dict) -> None:
        self.folder = "/"
        self.serial = (binascii.hexlify(machine.unique_id()).decode() + "0" * 16)[:16]
        self._now_ms = 0
        self._ticks = time.ticks_ms()
        if "wifi" in config:
            import network

            station = network.WLAN(network.STA_IF)
            station.active(True)
            station.connect(config["wifi"]["name"], config["wifi"]["password"])

    def out(self, number: int):
        """Return a call that drives a pin, high while active: a transistor or an optocoupler that is off while idle."""
        pin = machine.Pin(number, machine.Pin.OUT, value=0)
        return lambda active: pin.value(int(active))

    def into(self, number: int):
        """Return a call that says whether a pin is active: pulled low by a contact or an optocoupler."""
        pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
        return lambda: not pin.value()

    def uart(self, number: int, baud: int):
        """Return a UART that does not wait."""
        return machine.UART(number, baudrate=baud, timeout=0, rxbuf=1_024)

    def dial(self, host: str, port: int):
        """Return a socket that is being connected and does not wait. Looking up a name would: host is an address."""
        link = socket.socket()
        link.setblocking(False)
        try:
            link.connect(socket.getaddrinfo(host, port)[0][-1])
        except OSError as error:
            if error.args[0] not in NOT_YET:
                raise
        return link

    def now_ms(self) -> int:
        """Return milliseconds since the start; the board's own ticks begin anew every few days."""
        ticks = time.ticks_ms()
        self._now_ms += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now_ms


def main() -> None:
    """Run until the power goes; what hangs is ended by the watchdog, and its command is unknown."""
    with open("/config.json") as file:
        config = json.load(file)
    program = Program(config, Board(config))
    watchdog = machine.WDT(timeout=WATCHDOG_MS)
    while True:
        program.turn()
        watchdog.feed()
        time.sleep_ms(TURN_MS)


main()
