"""One JSON object per line on standard error: time, event, fields. A UID, key or claim is never a field."""

import sys
import time

import msgspec

_ENCODER = msgspec.json.Encoder(enc_hook=str)


def log_line(event: str, **fields: object) -> None:
    """Write one line, e.g. `log_line("driver.ended", device="coins", error="/dev/ttyUSB0: gone")`."""
    line = _ENCODER.encode({"at_ms": time.time_ns() // 1_000_000, "event": event, **fields})
    sys.stderr.write(line.decode() + "\n")
    sys.stderr.flush()
