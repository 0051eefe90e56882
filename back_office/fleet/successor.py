"""Which hub was enrolled in a dead one's place: kept before it is enrolled, so that there is never a second one."""

from typing import Final

from back_office.store import acts
from back_office.store.acts import Act
from back_office.store.engine import Transaction

_KIND: Final = "hub_replaced"


def successor(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> Act | None:
    """Return the act that names a hub's successor: its id is `content`, and it may not be enrolled yet."""
    return acts.act(tx, tenant_id, _KIND, hub_id)


def name_successor(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, to: bytes, now_ms: int) -> None:
    """Keep who takes a hub's place; the primary key refuses another one."""
    acts.add_act(tx, tenant_id, Act(_KIND, hub_id, to, 0, now_ms))
