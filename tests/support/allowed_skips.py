"""The skips that CI accepts: what this machine cannot have. Every other skip in CI is a failure.

A reason is accepted when it starts with one of these words: `pytest.skip("hardware: no PN532 on /dev/ttyAMA0")`.
"""

from typing import Final

ALLOWED_PREFIXES: Final = (
    "hardware:",  # a device that must be plugged in
    "program:",  # somebody else's, which no wheel brings: what it was tried with stands in docs/devices.md
    "history:",  # a commit that a shallow clone, or a copy without git, does not have
    "cpu:",  # another processor, or a number of cores that this machine does not have
)


def is_allowed(reason: str) -> bool:
    """Return whether CI accepts a skip for this reason."""
    return reason.removeprefix("Skipped: ").startswith(ALLOWED_PREFIXES)
