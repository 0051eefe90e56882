"""The LAN as it is: two hubs, a real broker with an access list, sealed letters, and tills behind them."""

import asyncio

import msgspec
import pytest

from cloud_sync.identity import HubIdentity
from cloud_sync.letters import post_message
from cloud_sync.mqtt_link import Inbound, MqttSettings
from cloud_sync.protocol.messages import Message, Trust, decode_message, signed_bytes
from cloud_sync.protocol.peers import PeerHeard, PeerKey, PeerNothing, Voucher
from cloud_sync.sealing import HpkeSealer, receive_public
from cloud_sync.signing import Ed25519Signer, public_of, verify
from edge_agent.links.peer_link import PeerLink
from edge_agent.messages import DocumentArrived
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from payment_core.bus import peer_topic
from payment_core.identifiers import uuid_text
from payment_core.journal import VoucherTaken
from tests.cloud_sync.broker import mosquitto
from tests.cloud_sync.world import OFFICE, hub_identity
from tests.support.hall import Hall, views
from tests.support.lan import hub_id_of, journal_of
from tests.support.ledger_truth import faults_of

ACL = "allow_anonymous true\nacl_file {folder}/acl\n"
RULES = "pattern read vd/1/%u/peer/+/+\npattern write vd/1/+/peer/%u/+\n"


def identity_of(number: int) -> HubIdentity:
    return hub_identity(hub_id_of(number), seed=20 * number)


def trust_of(*numbers: int) -> Trust:
    peers = tuple(
        PeerKey(
            identity.hub_id, f"hall {n}", public_of(identity.sign_seed), receive_public(identity.receive_private)
        )
        for n in numbers
        for identity in [identity_of(n)]
    )
    return Trust(1, (OFFICE.sign_public,), OFFICE.receive_public, 1, peers)


def settings_of(port: int, number: int) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=port, username=uuid_text(hub_id_of(number)), client_id=f"hub-{number}")


class Side:
    """A hub's till behind a real link; facts go straight into a step, as the thread would do it."""

    def __init__(self, folder, port: int, number: int) -> None:
        self.hall = Hall(folder / f"hall-{number}.sqlite3", hub_id=hub_id_of(number), seed=number)
        trust = trust_of(1, 2)
        self.hall.step(DocumentArrived("trust", 1, msgspec.json.encode(trust)))
        self.link = PeerLink(settings_of(port, number), identity_of(number), trust=trust, offer=self.take)
        self.effects = []
        self.heard = asyncio.Queue()

    def take(self, fact) -> None:
        effects = self.hall.step(fact)
        self.effects += effects
        for effect in effects:
            if isinstance(effect, ToPeer):
                self.link.carry_out(effect)
        self.heard.put_nowait(fact)

    async def until(self, wanted) -> None:
        async with asyncio.timeout(20):
            while not wanted(await self.heard.get()):
                pass


@pytest.mark.slow
def test_a_guest_walks_from_hub_to_hub_over_a_real_broker(tmp_path):
    async def story(port: int) -> tuple[Side, Side]:
        first, second = Side(tmp_path, port, 1), Side(tmp_path, port, 2)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(side.link.run()) for side in (first, second)]
            for side in (first, second):
                await side.until(lambda fact: isinstance(fact, LanLink) and fact.up)
            for side in (first, second):
                side.take(side.hall.member("card-7"))
            first.take(first.hall.lease("card-7", 1_000))
            second.take(second.hall.tap("card-7"))
            await second.until(lambda fact: isinstance(fact, FromPeer) and isinstance(fact.body, Voucher))
            await first.until(lambda fact: isinstance(fact, FromPeer) and type(fact.body).__name__ == "PeerTaken")
            for task in tasks:
                task.cancel()
        return first, second

    (tmp_path / "acl").write_text(RULES)
    with mosquitto(tmp_path, ACL.format(folder=tmp_path)) as (port, _process):
        first, second = asyncio.run(story(port))
    assert [view.state for view in views(second.effects)][-2:] == ["fetching", "held"]
    assert (first.hall.balance("card-7"), second.hall.balance("card-7")) == (0, 800)
    (taken,) = [entry for entry in journal_of(second.hall) if isinstance(entry, VoucherTaken)]
    assert taken.voucher
    for side in (first, second):
        assert faults_of(side.hall.store) == []
        side.hall.store.close()


def link_of(number: int, heard: list) -> PeerLink:
    settings = MqttSettings(host="127.0.0.1", port=1)
    return PeerLink(settings, identity_of(number), trust=trust_of(1, 2), offer=heard.append)


def letter(*, sender: int, to: int, body, signer: Ed25519Signer | None = None) -> bytes:
    message = Message(sender=hub_id_of(sender), to=hub_id_of(to), number=7, body=body)
    sealer = HpkeSealer(receive_public(identity_of(to).receive_private))
    return post_message(message, signer=signer or identity_of(sender).signer, sealer=sealer)


def test_only_a_letter_that_is_what_its_topic_says_is_heard():
    heard: list = []
    link = link_of(2, heard)
    body = PeerHeard(4)
    good = letter(sender=1, to=2, body=body)
    one, two, nobody = (uuid_text(hub_id_of(n)) for n in (1, 2, 3))

    def hear(topic: str, payload: bytes, *, retained: bool = False) -> list:
        heard.clear()
        link._hear(Inbound(topic, payload, retained))
        return list(heard)

    (fact,) = hear(peer_topic(two, one, "ask"), good)
    assert (fact.hub_id, fact.number, fact.body) == (hub_id_of(1), 7, body)
    assert hear(peer_topic(two, one, "ask"), good, retained=True) == []
    assert hear(peer_topic(two, one, "voucher"), good) == []
    assert hear(peer_topic(two, nobody, "ask"), good) == []
    assert hear(peer_topic(two, one, "ask"), letter(sender=1, to=1, body=body)) == []
    stranger = letter(sender=3, to=2, body=body)
    assert hear(peer_topic(two, nobody, "ask"), stranger) == []
    forged = letter(sender=1, to=2, body=PeerNothing(bytes(16), 1), signer=identity_of(3).signer)
    assert hear(peer_topic(two, one, "voucher"), forged) == []
    assert hear("vd/1/nonsense", good) == []
    assert hear(peer_topic(two, one, "ask"), b"\x93\x00") == []


def test_the_signed_bytes_of_a_voucher_prove_it_to_anybody():
    heard: list = []
    link = link_of(2, heard)
    voucher = Voucher(bytes(16), 1, 9, 7, ())
    topic = peer_topic(uuid_text(hub_id_of(2)), uuid_text(hub_id_of(1)), "voucher")
    link._hear(Inbound(topic, letter(sender=1, to=2, body=voucher), retained=False))
    (fact,) = heard
    plain, message, signature = msgspec.msgpack.decode(fact.signed)
    assert plain == 0
    assert decode_message(message).body == voucher
    assert verify(public_of(identity_of(1).sign_seed), signature, signed_bytes("voucher", message))


def test_what_is_said_to_a_link_that_is_down_is_not_kept():
    link = link_of(2, [])
    link.carry_out(ToPeer(hub_id_of(1), 0, PeerHeard(1)))
    assert link._outbound.empty()


