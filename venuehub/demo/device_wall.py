"""Many simulated serial devices in one process, each on its own pty: `… -m venuehub.demo.device_wall DIR PROFILE=ID…`.

Standard input takes `ID line`, e.g. `reader-03 tap ntag213:04A1B2C3D4E580 for 300ms`; each device's counters are kept
in `DIR/ID.json`. They live as long as the process: killing hub or bridge does not touch them.
"""

import os
import sys
import threading
from pathlib import Path

from device_profiles.loading import load_catalog
from firmware_bridge.simulators.kinds import Options, make_simulator
from firmware_bridge.simulators.process import run_simulator


def main() -> int:
    """Serve until standard input ends."""
    folder, *devices = sys.argv[1:]
    catalog = load_catalog()
    pipes: dict[str, int] = {}
    for device in devices:
        page, _, name = device.partition("=")
        read_fd, pipes[name] = os.pipe()
        link = Path(folder) / f"{name}.tty"
        threading.Thread(
            target=run_simulator,
            args=(make_simulator(catalog[page], Options(link=link)),),
            kwargs={
                "link": link,
                "status": link.with_suffix(".json"),
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
