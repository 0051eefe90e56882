"""`python -m firmware_bridge.simulators KIND --link PATH`: one simulated device, started quickly, as a demo's child."""

import argparse
import sys
from pathlib import Path

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.kinds import KINDS, Options, run_kind
from firmware_bridge.simulators.process import EXIT_USAGE


def main() -> int:
    """Run one device; return the exit code."""
    parser = argparse.ArgumentParser(prog="firmware_bridge.simulators", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--link", type=Path, required=True, help="where the device's port appears")
    parser.add_argument("--script", type=Path, help="lines to carry out at the start")
    parser.add_argument("--status", type=Path, help="a file that always holds the counters")
    parser.add_argument("--card", default="", help="a card that lies on the reader")
    parser.add_argument("--echo", action="store_true", help="the line echoes the host's bytes")
    parser.add_argument("--crc", action="store_true", help="CRC-16 instead of the simple checksum")
    chosen = vars(parser.parse_args())
    kind = str(chosen.pop("kind"))
    try:
        return run_kind(kind, Options(**chosen))
    except ScriptError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE


sys.exit(main())
