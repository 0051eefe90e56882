"""A whole board on MQTT, on CPython or MicroPython: its pins are lines of a file, its coin switch is a file.

companion_board.py FOLDER PORT    runs until it is killed; FOLDER/pulses has a line for each pulse; FOLDER/coin
"""

import os
import socket
import sys
import time

from firmware_bridge.companion.program import Program


class Board:
    serial = "c0ffee0000000003"

    def __init__(self, folder):
        self.folder = folder
        self._pins = open(folder + "/pulses", "ab")  # noqa: SIM115, PTH123

    def out(self, _number):
        return self._set

    def _set(self, active):
        if active:
            self._pins.write(b"pulse\n")
            self._pins.flush()

    def into(self, _number):
        return self._is_pressed

    def _is_pressed(self):
        try:
            os.stat(self.folder + "/coin")  # noqa: PTH116
        except OSError:
            return False
        return True

    def dial(self, host, port):
        link = socket.socket()
        link.connect(socket.getaddrinfo(host, port)[0][-1])
        link.setblocking(False)
        return link

    def now_ms(self):
        return time.ticks_ms() if hasattr(time, "ticks_ms") else int(time.monotonic() * 1_000)


def main(folder, port):
    settings = {"host": "127.0.0.1", "port": int(port), "hub": "hub-1", "bridge": "hall"}
    shape = {"width_ms": 25, "gap_ms": 25}
    output = dict(id="racer-1", kind="output", pin=1, **shape)
    devices = [output, {"id": "coins", "kind": "coins", "pin": 2}]
    program = Program({"devices": devices, "mqtt": settings}, Board(folder))
    while True:
        program.turn()
        time.sleep(0.002)


main(*sys.argv[1:])
