"""A board on a UART that is told line by line what happens to it, and prints what it says; on both interpreters.

companion_talk.py FOLDER    `feed HEX MS`, `coin MS`, `read HEX MS`, `tick MS`    ->    a line each
"""

import sys

from firmware_bridge.companion.channels import Coins, Output, Reader, Words
from firmware_bridge.companion.memory import Log, open_log
from firmware_bridge.companion.uart import Uart

BOOT, SERIAL = "0f" * 16, "c0ffee0000000002"


def main(folder):
    pins, said = [], []
    logs = [Log(open_log(folder + "/%d.log" % number), BOOT) for number in range(2)]  # noqa: UP031
    for log in logs:
        log.epoch = 5
    output, coins = Output(logs[0], pins.append), Coins(logs[1], pins.append)
    reader, words = Reader(9), Words(said.extend)
    coins.level(0, active=False)
    uart = Uart([output, coins, reader, words], boot=BOOT, serial=SERIAL)
    for line in sys.stdin:
        what, *rest = line.split()
        now_ms = int(rest[-1])
        if what == "feed":
            print("".join(["%02x" % byte for byte in uart.feed(bytes.fromhex(rest[0]), now_ms)]))  # noqa: T201, UP031
            continue
        if what == "coin":
            coins.level(now_ms, active=True)
            coins.level(now_ms + 50, active=False)
        elif what == "read":
            reader.feed(bytes.fromhex(rest[0]), now_ms)
        else:
            output.tick(now_ms)
            words.came((1, now_ms & 0xFF))
        print(len(pins), said[-3:], logs[0].mark, logs[1].last_event)  # noqa: T201


main(sys.argv[1])
