"""What goes into the till when somebody shows a paid slip."""

import msgspec

from cloud_sync.protocol.slips import Slip


class SlipShown(msgspec.Struct, frozen=True):
    """A slip that one of the office's keys has signed, verified. `lane`: where it was shown; None: at a desk."""

    slip: Slip
    lane: str | None
