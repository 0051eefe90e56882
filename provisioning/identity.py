"""Making identities: an office's keys once per tenant, and a hub's when it is enrolled."""

import secrets
from typing import Final

from cloud_sync.identity import HubIdentity, OfficeKeys
from cloud_sync.receiver import HubRecord
from cloud_sync.sealing import new_receive_key, receive_public
from cloud_sync.signing import new_seed, public_of

PEPPER_BYTES: Final = 32


def make_office(tenant_id: bytes) -> OfficeKeys:
    """Return fresh keys for a tenant: trust, signing, receiving, and the pepper of its credential ids."""
    return OfficeKeys(
        tenant_id=tenant_id,
        trust_seed=new_seed(),
        sign_seed=new_seed(),
        receive_privates=(new_receive_key(),),
        pepper=secrets.token_bytes(PEPPER_BYTES),
    )


def enroll_hub(
    office: OfficeKeys, *, hub_id: bytes, venue_id: bytes, epoch: int, broker_host: str, broker_port: int
) -> HubIdentity:
    """Return a fresh identity for a hub that trusts `office`. `epoch` rises with each enrolment of the same hub id."""
    return HubIdentity(
        hub_id=hub_id,
        tenant_id=office.tenant_id,
        venue_id=venue_id,
        epoch=epoch,
        broker_host=broker_host,
        broker_port=broker_port,
        office_trust=office.trust_public,
        office_sign=(office.sign_public,),
        office_receive=office.receive_public,
        sign_seed=new_seed(),
        receive_private=new_receive_key(),
        pepper=office.pepper,
    )


def pinned(identity: HubIdentity) -> HubRecord:
    """Return what the office pins of a hub: its public keys and the epoch that was opened for it."""
    return HubRecord(
        hub_id=identity.hub_id,
        sign_public=public_of(identity.sign_seed),
        receive_public=receive_public(identity.receive_private),
        allowed_epoch=identity.epoch,
    )
