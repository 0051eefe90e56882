"""Log events as JSON lines on stderr, one writer for the whole hub. Never a raw id, key or claim."""

import sys
import time

import msgspec

_ENCODER = msgspec.json.Encoder()


def log(event: str, /, **fields: str | int) -> None:
    """Write one event: `log("link.up", where="127.0.0.1:1883")`."""
    line = _ENCODER.encode({"at_ms": time.time_ns() // 1_000_000, "event": event, **fields})
    sys.stderr.write(line.decode() + "\n")
    sys.stderr.flush()
