"""TLS of an MQTT connection: who the broker must be, and who we are there."""

import ssl

from cloud_sync.mqtt_faults import BrokerUnavailableError


def tls_context(where: str, *, ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext | None:
    """Return how to connect to a broker whose certificate is of the authority in `ca_file`; None where none is named.

    cert_file, key_file: who we are, PEM; empty: nobody in particular. BrokerUnavailableError: a file is unfit.
    """
    if not ca_file:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file or None)
    except OSError as error:
        hint = f"TLS files cannot be used ({ca_file}, {cert_file}, {key_file}): {error}"
        raise BrokerUnavailableError(where, hint) from error
    context.sslsocket_class = _ClosedWhenRefused
    return context


class _ClosedWhenRefused(ssl.SSLSocket):
    """Close with a handshake that fails: paho lets go of such a socket open, one for each try of a long outage."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the parent's own form
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
