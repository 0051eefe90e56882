"""A lost card: its account goes on under another card, a life later, with its history and its limits."""

import hashlib

from back_office.ledger.counter import Done, Refused
from back_office.ledger.desk import Desk
from back_office.ledger.list_changes import successor
from back_office.members.cards import Card, refuse_keyless, set_status
from back_office.store import acts, people
from back_office.store.acts import Act
from back_office.store.people import Credential
from payment_core.journal import CredentialMoved

_KIND = "card_moved"


def replace_card(desk: Desk, old: Credential, new: Card, *, pepper: bytes, by: str) -> Done | Refused:
    """Take the old card out of use and put the new one in its place; the same again is answered.

    What the account owns stays where it is: nothing moves but the card.
    """
    tx, tenant_id = desk.tx, desk.tenant_id
    new_id = new.credential_id(pepper)
    act_id = hashlib.sha256(old.credential_id + new_id).digest()
    done = acts.act(tx, tenant_id, _KIND, act_id)
    if done is not None:
        return Done(done.office_seq, again=True)
    if people.credential(tx, tenant_id, new_id) is not None:
        return Refused("the new card has an account already: take one that was never used")
    refuse_keyless(new)
    life = old.life + 1

    seq = desk.append(lambda header: CredentialMoved(1, header, old.credential_id, new_id, old.account_id, life, by))
    set_status(tx, tenant_id, old, "lost")
    version = people.list_version(tx, tenant_id) + 1
    fresh = successor(old, new_id, new.kind.media, new.kind.class_, life=life, version=version, token_key=new.key)
    people.add_credential(tx, tenant_id, fresh)
    acts.add_act(tx, tenant_id, Act(_KIND, act_id, act_id, seq, desk.now_ms))
    return Done(seq, amount=life)
