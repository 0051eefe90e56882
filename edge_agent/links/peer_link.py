"""The hub's end of the venue's LAN: neighbours' sealed letters become facts for the till, its answers letters.

Nothing here is durable: what must arrive is sent again by the till until it is confirmed.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from cloud_sync.ending import pause
from cloud_sync.identity import HubIdentity
from cloud_sync.letters import post_message, read_letter
from cloud_sync.mqtt_link import Inbound, MqttLink, MqttLinkError, MqttSettings
from cloud_sync.protocol.envelope import MAX_BATCH_BYTES
from cloud_sync.protocol.messages import Message, Rejected, Trust
from cloud_sync.protocol.peers import CarryBody, PeerBody, PeerKey
from cloud_sync.protocol.retry import reconnect_delay_ms
from cloud_sync.sealing import HpkeSealer
from edge_agent.lan.carrying import TellKept
from edge_agent.lan.handing import HandOver, SayHere
from edge_agent.links.pumps import pump_together
from edge_agent.log_lines import log
from edge_agent.messages import Input
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from payment_core.bus import PEER_LEAVES, parse_topic, peer_topic
from payment_core.identifiers import uuid_bytes, uuid_text

LONGEST_ATTEMPT: Final = 3
"""Up to 4 s between two tries: a venue has a few hubs, and guests' money waits for its broker."""
OUTBOUND_LIMIT: Final = 4_096
"""Letters beyond it are dropped, as all are while the broker is away: the till says it again."""
BATCHES_BEHIND: Final = 64
"""Letters behind which no batch is put: it is a thousand times as big, and is handed over again."""
_BATCH: Final = "batch"


class PeerLink:
    """Pumps until cancelled; reconnects by itself. `trust`: the neighbours' keys as the ledger holds them."""

    def __init__(
        self, settings: MqttSettings, identity: HubIdentity, *, trust: Trust | None, offer: Callable[[Input], object]
    ) -> None:
        self._settings = settings
        self._hub_id = identity.hub_id
        self._hub = uuid_text(identity.hub_id)
        self._signer = identity.signer
        self._opener = identity.opener
        self._offer = offer
        self._peers: dict[bytes, PeerKey] = {}
        self._sealers: dict[bytes, HpkeSealer] = {}
        self._outbound: asyncio.Queue[ToPeer | HandOver] = asyncio.Queue(OUTBOUND_LIMIT)
        self.on_batch: Callable[[bytes, bytes], None] = lambda _hub_id, _data: None
        """Hears what came as a neighbour's sealed batch; nothing about it is proven."""
        self.on_carrier: Callable[[bytes, CarryBody], None] = lambda _hub_id, _body: None
        """Hears what a neighbour says about batches, verified."""
        self._up = False
        self._said = 0
        self._said_by: dict[bytes, int] = {}
        if trust is not None:
            self.on_trust(trust)

    def on_trust(self, trust: Trust) -> None:
        """Take the neighbours' keys out of a verified document."""
        peers = [peer for peer in trust.peers if peer.hub_id != self._hub_id]
        self._peers = {peer.hub_id: peer for peer in peers}
        self._sealers = {
            peer.hub_id: HpkeSealer(peer.receive_public, suite=peer.receive_suite) for peer in peers
        }

    def carry_out(self, effect: ToPeer) -> None:
        """Queue a message; called in the loop's thread."""
        if self._up and not self._outbound.full():
            self._outbound.put_nowait(effect)

    def say(self, effect: HandOver | SayHere | TellKept) -> None:
        """Queue what is said about batches, or a batch; called in the loop's thread."""
        match effect:
            case HandOver():
                if self._up and self._outbound.qsize() < BATCHES_BEHIND:
                    self._outbound.put_nowait(effect)
            case SayHere(hub_id=hub_id, body=here):
                self.carry_out(ToPeer(hub_id, self._next_number(), here))
            case TellKept(hub_id=hub_id, body=kept):
                self.carry_out(ToPeer(hub_id, self._next_number(), kept))

    def _next_number(self) -> int:
        """Return a number above all before, over restarts too where the clock is right: at least UTC ms."""
        self._said = max(self._said + 1, time.time_ns() // 1_000_000)
        return self._said

    async def run(self) -> None:
        """Connect, subscribe, pump; again after every loss with full jitter."""
        attempt = 0
        while True:
            try:
                async with MqttLink(self._settings) as link:
                    await link.subscribe(*(peer_topic(self._hub, "+", leaf) for leaf in PEER_LEAVES))
                    log("lan.up", where=f"{self._settings.host}:{self._settings.port}")
                    attempt = 0
                    await self._pump(link)
            except MqttLinkError as error:
                if attempt in (0, 5):
                    log("lan.down", why=str(error))
            delay_ms = reconnect_delay_ms(min(attempt, LONGEST_ATTEMPT), dice=random.random())  # noqa: S311 - jitter
            await pause(delay_ms / 1000)
            attempt += 1

    async def _pump(self, link: MqttLink) -> None:
        self._set_up(up=True)
        try:
            await pump_together(self._listen(link), self._send(link))
        finally:
            self._set_up(up=False)

    async def _listen(self, link: MqttLink) -> None:
        async for message in link.messages():
            self._hear(message)

    def _set_up(self, *, up: bool) -> None:
        self._up = up
        while not self._outbound.empty():  # what was said to a link that is gone is said again
            self._outbound.get_nowait()
        self._offer(LanLink(up))

    async def _send(self, link: MqttLink) -> None:
        while True:
            effect = await self._outbound.get()
            letter = self._seal(effect)
            if letter is not None:
                await link.publish_soon(*letter)

    def _seal(self, effect: ToPeer | HandOver) -> tuple[str, bytes] | None:
        if isinstance(effect, HandOver):  # as its owner sealed it, and signed: nobody signs it again
            return peer_topic(uuid_text(effect.hub_id), self._hub, _BATCH), effect.sealed
        sealer = self._sealers.get(effect.hub_id)
        if sealer is None:
            return None
        message = Message(sender=self._hub_id, to=effect.hub_id, number=effect.number, body=effect.body)
        topic = peer_topic(uuid_text(effect.hub_id), self._hub, message.kind)
        return topic, post_message(message, signer=self._signer, sealer=sealer)

    def _hear(self, inbound: Inbound) -> None:
        address = parse_topic(inbound.topic)
        if address is None or inbound.retained:
            return
        if address.leaf == _BATCH:
            self._hear_batch(address.name, inbound.payload)
            return
        letter = read_letter(
            inbound.payload, signers_for=self._signers, to=frozenset({self._hub_id}), opener=self._opener
        )
        if isinstance(letter, Rejected):
            log("lan.rejected", sender=address.name, reason=letter.reason)
            return
        message = letter.message
        body = message.body
        fits = message.kind == address.leaf and message.sender == _id_of(address.name)
        if not fits or not isinstance(body, PeerBody | CarryBody):
            log("lan.rejected", sender=address.name, reason="address")
            return
        if isinstance(body, CarryBody):
            if message.number > self._said_by.get(message.sender, 0):  # else it is an old one that is played again
                self._said_by[message.sender] = message.number
                self.on_carrier(message.sender, body)
            return
        self._offer(FromPeer(message.sender, message.number, body, letter.signed))

    def _hear_batch(self, sender: str, data: bytes) -> None:
        hub_id = _id_of(sender)
        if hub_id in self._peers and len(data) <= MAX_BATCH_BYTES:
            self.on_batch(hub_id, data)
        else:
            log("lan.rejected", sender=sender, reason="batch")

    def _signers(self, message: Message) -> tuple[bytes, ...]:
        peer = self._peers.get(message.sender)
        return (peer.sign_public,) if peer else ()


def _id_of(hub: str) -> bytes | None:
    try:
        return uuid_bytes(hub)
    except ValueError:
        return None
