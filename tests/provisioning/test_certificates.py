"""Certificates for mutual TLS: what they say, and that each is good for its own side only."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cloud_sync.identity import IdentityError
from payment_core.identifiers import uuid_text
from provisioning.certificates import (
    Credentials,
    issue_hub,
    issue_server,
    make_authority,
    narrow_authority,
    write_credentials,
)

HUB = bytes.fromhex("019399a0000070008000000000000001")
NOW = dt.datetime.now(dt.UTC)
AUTHORITY = make_authority("Lucky Arcade", now=NOW)
FOREIGN = make_authority("Another", now=NOW)


def handshake(tmp_path, *, server, client, trust, known=None):
    """Run a TLS handshake in memory, both sides strict; return the client's name as the server saw it.

    known: what the client trusts, where it is not what the server does.
    """
    for name, credentials in (("server", server), ("client", client)):
        write_credentials(credentials, tmp_path, name)
    (tmp_path / "ca.crt").write_bytes(trust.certificate)
    (tmp_path / "known.crt").write_bytes((known or trust).certificate)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
    ours.verify_mode = ssl.CERT_REQUIRED
    ours.verify_flags |= ssl.VERIFY_X509_STRICT
    ours.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.pem")
    theirs = ssl.create_default_context(cafile=tmp_path / "known.crt")
    theirs.verify_flags |= ssl.VERIFY_X509_STRICT
    theirs.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = ours.wrap_bio(to_server, to_client, server_side=True)
    client_side = theirs.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    waiting = [client_side, server_side]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert waiting == []
    return dict(item[0] for item in server_side.getpeercert()["subject"])["commonName"]


def test_a_hub_is_known_to_the_broker_by_its_id(tmp_path):
    server = issue_server(AUTHORITY, ["127.0.0.1", "localhost"], now=NOW)
    client = issue_hub(AUTHORITY, HUB, now=NOW)
    name = handshake(tmp_path, server=server, client=client, trust=AUTHORITY)
    assert name == "019399a0-0000-7000-8000-000000000001"


@pytest.mark.parametrize("case", ["foreign-hub", "server-as-client", "hub-as-server", "expired", "wrong-host"])
def test_no_other_pair_gets_through(tmp_path, case):
    long_ago = NOW - dt.timedelta(days=91)
    server = issue_server(AUTHORITY, ["127.0.0.1"], now=NOW)
    client = issue_hub(AUTHORITY, HUB, now=NOW)
    match case:
        case "foreign-hub":
            client = issue_hub(FOREIGN, HUB, now=NOW)
        case "server-as-client":
            client = server
        case "hub-as-server":
            server = client
        case "expired":
            client = issue_hub(AUTHORITY, HUB, now=long_ago)
        case "wrong-host":
            server = issue_server(AUTHORITY, ["127.0.0.2"], now=NOW)
    with pytest.raises(ssl.SSLError):
        handshake(tmp_path, server=server, client=client, trust=AUTHORITY)


@pytest.mark.parametrize("ours", [True, False], ids=["the-one", "another"])
def test_a_narrow_authority_is_good_for_one_client_alone(tmp_path, ours):
    trust = Credentials(narrow_authority(AUTHORITY, HUB, now=NOW), AUTHORITY.private_key)
    client = issue_hub(AUTHORITY, HUB if ours else bytes(16), now=NOW)
    server = issue_server(AUTHORITY, ["127.0.0.1"], now=NOW)
    if ours:
        assert handshake(tmp_path, server=server, client=client, trust=trust, known=AUTHORITY) == uuid_text(HUB)
        return
    with pytest.raises(ssl.SSLError):
        handshake(tmp_path, server=server, client=client, trust=trust, known=AUTHORITY)


def test_a_leaf_lives_ninety_days_on_p256():
    leaf = x509.load_pem_x509_certificate(issue_hub(AUTHORITY, HUB, now=NOW).certificate)
    assert (leaf.not_valid_after_utc - NOW).total_seconds() == pytest.approx(90 * 86_400, abs=2)
    assert leaf.public_key().curve.name == "secp256r1"
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "019399a0-0000-7000-8000-000000000001"


def test_keys_are_private_and_never_overwritten(tmp_path):
    certificate, key = write_credentials(AUTHORITY, tmp_path, "ca")
    assert (certificate.name, key.name, key.stat().st_mode & 0o777) == ("ca.crt", "ca.pem", 0o600)
    assert "PRIVATE" not in repr(AUTHORITY)
    with pytest.raises(IdentityError, match="never overwritten"):
        write_credentials(AUTHORITY, tmp_path, "ca")
