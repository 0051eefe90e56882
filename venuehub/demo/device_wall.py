"""Many simulated serial devices in one process, each on its own pty: `… -m venuehub.demo.device_wall KIND DIR IDS…`.

Standard input takes `ID line`, e.g. `reader-03 tap ntag213:04A1B2C3D4E580 for 300ms`; each device's counters are kept
in `DIR/ID.json`. They live as long as the process: killing hub or bridge does not touch them.
"""

import os
import sys
import threading
from pathlib import Path

from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.interface import Simulator
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.simulators.process import run_simulator


def _make(kind: str) -> Simulator:
    return Pn532Simulator() if kind == "pn532" else CctalkAcceptorSimulator()


def main() -> int:
    """Serve until standard input ends."""
    kind, folder, *names = sys.argv[1:]
    pipes: dict[str, int] = {}
    for name in names:
        read_fd, pipes[name] = os.pipe()
        place = Path(folder)
        threading.Thread(
            target=run_simulator,
            args=(_make(kind),),
            kwargs={
                "link": place / f"{name}.tty",
                "status": place / f"{name}.json",
                "commands_fd": read_fd,
                "output": sys.stderr,
            },
            name=name,
            daemon=True,
        ).start()
    for line in sys.stdin:
        name, _, command = line.partition(" ")
        if name in pipes:
            os.write(pipes[name], command.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
