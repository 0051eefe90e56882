"""`python -m firmware_bridge.simulators PROFILE --link PATH`: one simulated device, started quickly."""

import argparse
import sys
from pathlib import Path

from device_profiles.loading import load_catalog
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.kinds import Options, run_profile
from firmware_bridge.simulators.process import EXIT_USAGE


def main() -> int:
    """Run one device; return the exit code."""
    parser = argparse.ArgumentParser(prog="firmware_bridge.simulators", description=__doc__)
    catalog = load_catalog()
    parser.add_argument("profile", choices=sorted(catalog))
    parser.add_argument("--link", type=Path, required=True, help="where the device's port appears")
    parser.add_argument("--script", type=Path, help="lines to carry out at the start")
    parser.add_argument("--status", type=Path, help="a file that always holds the counters")
    parser.add_argument("--card", default="", help="a card that lies on the reader")
    parser.add_argument("--echo", action="store_true", help="the line echoes the host's bytes")
    parser.add_argument("--crc", action="store_true", help="CRC-16 instead of the simple checksum")
    chosen = vars(parser.parse_args())
    profile = catalog[str(chosen.pop("profile"))]
    try:
        return run_profile(profile, Options(**chosen))
    except ScriptError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE


sys.exit(main())
