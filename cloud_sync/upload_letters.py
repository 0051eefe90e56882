"""What a hub writes to the office beside its journal, hellos and requests: numbered, signed and sealed."""

from typing import Final

from cloud_sync.letters import Publish, post_message
from cloud_sync.protocol.messages import Hello, ListRequest, Message, Request, Trust
from cloud_sync.protocol.receipts import AHEAD_MS
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.sealing import HpkeSealer, Sealer
from cloud_sync.upload_effects import HubPen, Moment
from payment_core.journal import TimeQuality

LIST_AGAIN_MS: Final = 30_000
"""How long a question for the list may stay without an answer before it is put again."""


class LetterBook:
    """Numbers rise, at least with UTC ms, so that the office tells a letter of today from one played again."""

    def __init__(self, pen: HubPen) -> None:
        self.sealer: Sealer = pen.office_sealer
        """Seals to the office's present receive key: letters and batches."""
        self._pen = pen
        self._number = 0

    def on_trust(self, trust: Trust) -> None:
        """Seal to the key of a newer trust document from now on."""
        self.sealer = HpkeSealer(trust.receive_key, suite=trust.receive_suite)

    def was_ahead(self, now: Moment) -> bool:
        """Say whether the newest number is of a clock that was far ahead and is right now: the office goes by today's.

        Where it has one of a clock that was further ahead, it takes any but today's for an old letter.
        """
        return now.quality is TimeQuality.SYNCED and self._number > now.wall_ms + AHEAD_MS

    def post(self, now: Moment, body: Hello | Request) -> Publish:
        """Return the next letter."""
        self._number = now.wall_ms if self.was_ahead(now) else max(self._number + 1, now.wall_ms)
        pen = self._pen
        message = Message(sender=pen.hub_id, to=pen.tenant_id, number=self._number, body=body)
        payload = post_message(message, signer=pen.signer, sealer=self.sealer)
        return Publish(hub_topic(pen.hub_id, "up", "hello" if isinstance(body, Hello) else "request"), payload)


class ListQuestion:
    """At most one question for the list is open: what misfits meanwhile is answered by it. Times are ms since boot."""

    def __init__(self) -> None:
        self._open: ListRequest | None = None
        self._due_ms = 0

    def ask(self, mono_ms: int, have_version: int) -> ListRequest | None:
        """Return the question for what came after a version, None where one is open."""
        if self._open is not None:
            return None
        self._open = ListRequest(have_version)
        self._due_ms = mono_ms + LIST_AGAIN_MS
        return self._open

    def again(self, mono_ms: int) -> ListRequest | None:
        """Return the open question where nobody has answered it for long."""
        if self._open is None or mono_ms < self._due_ms:
            return None
        self._due_ms = mono_ms + LIST_AGAIN_MS
        return self._open

    def close(self) -> None:
        """Note that a list fitted, or that the connection is another: the next misfit is a new one."""
        self._open = None
