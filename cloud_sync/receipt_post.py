"""What the office says to a hub about its batches: signed, sealed, and with the nonce of the hub's newest hello."""

from collections.abc import Sequence

from cloud_sync.letters import Publish, post_message
from cloud_sync.protocol import topics
from cloud_sync.protocol.messages import Body, HeardOf, HelloRequest, Message, Receipt
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.received import HubRecord
from cloud_sync.sealing import HpkeSealer
from cloud_sync.signing import Signer


class ReceiptPost:
    """`takes`: what every receipt says that this office takes beyond plain batches of the ledger."""

    def __init__(self, *, tenant_id: bytes, signer: Signer, takes: int) -> None:
        self._tenant_id = tenant_id
        self._signer = signer
        self._takes = takes

    def receipt(
        self, now_ms: int, hub: HubRecord, watermark: Watermark, *, heard: Sequence[HeardOf] = (), stream: int = 0
    ) -> Publish:
        """Return a receipt; a hub without a nonce is asked for its hello."""
        if not hub.nonce:
            return self.to_hub(hub, HelloRequest(), "command", 0)
        receipt = Receipt(
            epoch=watermark.epoch,
            through_seq=watermark.batch_seq,
            batch_hash=watermark.batch_hash,
            server_ms=now_ms,
            nonce=hub.nonce,
            frozen=hub.frozen,
            reopened="" if hub.frozen else hub.reopened,
            heard=tuple(heard),
            stream=stream,
            takes=self._takes,
        )
        return self.to_hub(hub, receipt, "receipt", watermark.batch_seq)

    def to_hub(self, hub: HubRecord, body: Body, leaf: str, number: int) -> Publish:
        """Return a letter for one hub."""
        message = Message(sender=self._tenant_id, to=hub.hub_id, number=number, body=body)
        payload = post_message(message, signer=self._signer, sealer=HpkeSealer(hub.receive_public))
        return Publish(topics.hub_topic(hub.hub_id, "down", leaf), payload)
