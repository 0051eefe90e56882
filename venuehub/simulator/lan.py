"""The venue's LAN: one broker between the hubs, over which they pass money and tell each other what all must know."""

from typing import TYPE_CHECKING, Final

from cloud_sync.letters import post_message, read_letter
from cloud_sync.protocol.messages import Message, Rejected
from cloud_sync.sealing import HpkeSealer, receive_public
from cloud_sync.signing import public_of
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from venuehub.simulator.lines import Line

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub

LAN_MS: Final = 1


class Lan:
    """Carries peer messages, signed and sealed as the agent sends them, from hub to broker to hub."""

    def __init__(self) -> None:
        self.ports: dict[bytes, Port] = {}

    def plug_in(self, hub: "Hub") -> "Port":
        """Give a hub its line to the broker."""
        port = self.ports[hub.identity.hub_id] = Port(self, hub)
        return port


class Port:
    """One hub's line to the LAN's broker, and its keys there."""

    def __init__(self, lan: Lan, hub: "Hub") -> None:
        identity = hub.identity
        self.name = hub.name
        self.line = Line(hub.world, f"{hub.name} LAN", delay_ms=LAN_MS)
        self.public = public_of(identity.sign_seed)
        self._lan = lan
        self._hub = hub
        self._signer = identity.signer
        self.sealer = HpkeSealer(receive_public(identity.receive_private))
        self._opener = identity.opener
        self._own = frozenset({identity.hub_id})

    def link(self) -> None:
        """Tell the hub's till whether the broker can be reached."""
        self._hub.offer(LanLink(up=not self.line.is_cut))

    def send(self, letter: ToPeer) -> None:
        """Sign, seal and publish."""
        to = self._lan.ports.get(letter.hub_id)
        if to is None:
            return
        sender = self._hub.identity.hub_id
        self._hub.world.note(f"{self._hub.name}: {type(letter.body).__name__} to {to.name}")
        message = Message(sender=sender, to=letter.hub_id, number=letter.number, body=letter.body)
        payload = post_message(message, signer=self._signer, sealer=to.sealer)
        self.line.carry(lambda: to.line.carry(lambda: to.hear(payload), up=False), up=True)

    def hear(self, payload: bytes) -> None:
        """Open, verify and hand over to the till."""
        if not self._hub.alive:
            return
        letter = read_letter(payload, signers_for=self._signers, to=self._own, opener=self._opener)
        if isinstance(letter, Rejected):
            self._hub.world.note(f"{self._hub.name}: rejected a neighbour's message: {letter.reason}")
            return
        message = letter.message
        self._hub.offer(FromPeer(message.sender, message.number, message.body, letter.signed))  # type: ignore[arg-type]

    def _signers(self, message: Message) -> tuple[bytes, ...]:
        port = self._lan.ports.get(message.sender)
        return (port.public,) if port is not None else ()
