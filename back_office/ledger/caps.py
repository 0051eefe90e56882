"""Which caps a hub may have in force: for the bound that is shown, and for every judge of what it says.

Nobody here knows which of the documents a hub has, for a disk that is restored brings an older one back: so of all it
was ever sent the highest of each cap counts. It keeps its own defaults until it has one. Its hello says so; what it
wrote before that may come later, and is judged by the defaults all the same.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from back_office.store import papers, set_back
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from payment_core.policy import Caps

RISK: Final = "risk"


def caps_in_force(tx: Transaction, tenant_id: bytes, hub: Hub, *, wrote: int | None = None) -> Sequence[Caps]:
    """Return every caps that a hub may have in force, or had when it `wrote` that entry of its newest epoch."""
    sent = [msgspec.json.decode(risk.body, type=Caps) for risk in papers.versions(tx, tenant_id, hub.hub_id, RISK)]
    has_one = hub.risk_version if wrote is None else 0 < hub.risk_from <= wrote
    return sent if sent and has_one else [*sent, Caps()]


def highest_top_up_cap(tx: Transaction, tenant_id: bytes, hub: Hub, *, wrote: int | None = None) -> int:
    """Return the highest T_h that a hub may have in force, or had when it wrote an entry."""
    return max(caps.top_up_cap for caps in caps_in_force(tx, tenant_id, hub, wrote=wrote))


def may_have_forgotten(tx: Transaction, tenant_id: bytes, hub: Hub) -> bool:
    """Say whether these books, restored from a backup, may not know the documents that a hub has in force.

    So it is until the hub was heard whole, and while its hello names a document that they never sent.
    """
    if hub.hub_id in set_back.unheard(tx, tenant_id):
        return True
    sent = {kept.version for kept in papers.versions(tx, tenant_id, hub.hub_id, RISK)}
    return hub.risk_version not in {0, *sent} and any(version > set_back.JUMP for version in sent)
