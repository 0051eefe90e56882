"""How the office's broker is set up, in mosquitto's words: the same for an installed office and one a tool starts.

systemd/mosquitto/venuehub-office.conf and .acl are what these return for /etc/mosquitto/venuehub-office.
"""

from pathlib import Path
from typing import Final

INSTALLED: Final = Path("/etc/mosquitto/venuehub-office")
PORT: Final = 8883
OFFICE_PORT: Final = 8884
CONFIG: Final = """\
# The office's broker, for /etc/mosquitto/conf.d. Hubs and the office prove themselves by certificates of the tenant's
# own authority (`venuehub office init` makes them); whoever has none gets no further than the TLS handshake.
allow_anonymous false
acl_file {folder}/acl

# Hubs: the certificate's name is the client id too, so that no hub throws out another under that one's id.
listener {hubs}
cafile {folder}/ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true

# The office's own programs, any number of them with the one certificate of the office. office-ca.crt is the same
# authority for that certificate alone: here a hub gets no further than the TLS handshake.
listener {office}
cafile {folder}/office-ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.pem
require_certificate true
use_identity_as_username true

# Without this one round trip takes 44 ms instead of a quarter of one (delayed acknowledgements meet Nagle).
set_tcp_nodelay true

# It carries messages and remembers none: what must not be lost is in a hub's journal until the office signs for it.
persistence false

# What a broken or hostile client may cost the others. The largest message of ours has 1 MiB (a page of the list).
max_packet_size 1114112
max_inflight_messages 1000
max_queued_messages 10000
max_queued_bytes 33554432
max_keepalive 120
memory_limit 536870912
"""
ACCESS: Final = """\
# Who may say what at the office's broker. The office's user is the tenant's id, a hub's its own, by certificate.
user {tenant}
topic readwrite vh/1/#

pattern write vh/1/+/%u/up/#
pattern read vh/1/+/%u/down/#
# The same for every hub: mosquitto warns at its start that this one names no user.
pattern read vh/1/tenant/+/document/#
"""


def office_broker(
    *, folder: Path = INSTALLED, port: int = PORT, office_port: int = OFFICE_PORT, address: str = ""
) -> str:
    """Return the configuration. `folder` has ca.crt, office-ca.crt, broker.crt, broker.pem and acl.

    port: for hubs; office_port: for the office's own programs; address: all, where empty.
    """
    hubs, office = (f"{number} {address}".strip() for number in (port, office_port))
    return CONFIG.format(folder=folder, hubs=hubs, office=office)


def office_access(tenant: str) -> str:
    """Return the access list. `tenant`: the tenant's id as text."""
    return ACCESS.format(tenant=tenant)
