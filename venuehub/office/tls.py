"""TLS files of an office and its hubs: the tenant's authority, the broker's certificate, the office's, each hub's."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cloud_sync.secret_files import write_secret
from provisioning.certificates import (
    Credentials,
    issue_hub,
    issue_server,
    make_authority,
    narrow_authority,
    write_credentials,
)
from venuehub.errors import CliError, ExitCode

AUTHORITY: Final = "ca"
BROKER: Final = "broker"
OFFICE: Final = "office"
OFFICE_AUTHORITY: Final = "office-ca.crt"
"""What the broker trusts at the listener of the office's own programs: the authority, for the office alone."""
HUB: Final = "hub"


def make_office_tls(folder: Path, *, tenant_id: bytes, tenant: str, broker_hosts: Sequence[str]) -> None:
    """Write `ca`, `broker` and `office`, each `.crt` and `.pem`, and `office-ca.crt`; never over a file.

    The office proves itself to the broker by the tenant's id, as a hub does by its own.
    """
    now = dt.datetime.now(dt.UTC)
    authority = make_authority(tenant, now=now)
    write_credentials(authority, folder, AUTHORITY)
    write_credentials(issue_server(authority, broker_hosts, now=now), folder, BROKER)
    write_credentials(issue_hub(authority, tenant_id, now=now), folder, OFFICE)
    add_office_authority(folder, tenant_id)


def make_broker_tls(folder: Path, broker_hosts: Sequence[str]) -> None:
    """Write `broker.crt` and `.pem` by the authority in the folder; never over a file."""
    issued = issue_server(_authority_of(folder), broker_hosts, now=dt.datetime.now(dt.UTC))
    write_credentials(issued, folder, BROKER)


def add_office_authority(folder: Path, tenant_id: bytes) -> bool:
    """Write `office-ca.crt` where it is not and the authority's key is; return whether it was written.

    An office that an earlier release founded has none, and its broker's new configuration names it.
    """
    place = folder / OFFICE_AUTHORITY
    if place.exists() or not all((folder / f"{AUTHORITY}.{kind}").is_file() for kind in ("crt", "pem")):
        return False
    write_secret(place, narrow_authority(_authority_of(folder), tenant_id, now=dt.datetime.now(dt.UTC)))
    return True


def refuse_no_authority(office_folder: Path) -> None:
    """Refuse where no hub can be given a certificate, before anything is done that cannot be taken back."""
    for name in (f"{AUTHORITY}.crt", f"{AUTHORITY}.pem"):
        if not (office_folder / name).is_file():
            message = "the office's certificate authority is not here, so no hub can be enrolled; nothing was done"
            hint = f"put {AUTHORITY}.crt and {AUTHORITY}.pem back into the office's folder"
            raise CliError(
                "settings", message, where=str(office_folder / name), hint=hint, exit_code=ExitCode.NOT_PROVISIONED
            )


def make_hub_tls(office_folder: Path, hub_folder: Path, *, hub_id: bytes) -> None:
    """Write `ca.crt`, `hub.crt` and `hub.pem` into a hub's folder."""
    authority = _authority_of(office_folder)
    write_credentials(issue_hub(authority, hub_id, now=dt.datetime.now(dt.UTC)), hub_folder, HUB)
    (hub_folder / f"{AUTHORITY}.crt").write_bytes(authority.certificate)


def _authority_of(folder: Path) -> Credentials:
    return Credentials((folder / f"{AUTHORITY}.crt").read_bytes(), (folder / f"{AUTHORITY}.pem").read_bytes())
