"""Making offices and hubs: fresh keys, the right pins, and an end-to-end letter between the two."""

from cloud_sync.letters import post_message, read_message
from cloud_sync.protocol.messages import Grant, Lease, Message
from cloud_sync.sealing import HpkeSealer
from provisioning.identity import enroll_hub, make_office, pinned

TENANT, HUB, VENUE = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


def enroll(office, *, epoch=1):
    return enroll_hub(office, hub_id=HUB, venue_id=VENUE, epoch=epoch, broker_host="office.example", broker_port=8883)


def test_two_offices_and_two_hubs_share_no_key():
    one, two = make_office(TENANT), make_office(TENANT)
    assert len({one.trust_seed, one.sign_seed, *one.receive_privates, one.pepper, two.trust_seed, two.sign_seed}) == 6
    first, second = enroll(one), enroll(one)
    assert first.sign_seed != second.sign_seed
    assert first.receive_private != second.receive_private


def test_a_hub_pins_its_office_and_the_office_pins_the_hub():
    office = make_office(TENANT)
    hub = enroll(office, epoch=4)
    assert (hub.office_trust, hub.office_sign) == (office.trust_public, (office.sign_public,))
    assert (hub.office_receive, hub.pepper) == (office.receive_public, office.pepper)
    record = pinned(hub)
    assert record.sign_public == hub.signer.public
    assert record.allowed_epoch == 4


def test_the_two_can_write_to_each_other():
    office = make_office(TENANT)
    hub = enroll(office)
    lease = Message(sender=TENANT, to=HUB, number=1, body=Lease((Grant(bytes(16), "CNY", 1, 5),)))
    wire = post_message(lease, signer=office.signer, sealer=HpkeSealer(pinned(hub).receive_public))
    read = read_message(wire, signers_for=lambda _: hub.trust.sign_publics, to=frozenset({HUB}), opener=hub.opener)
    assert read == lease
