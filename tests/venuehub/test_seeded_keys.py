"""The simulator's stand-ins for the curves refuse what the curves refuse, and are gone afterwards."""

import msgspec
import pytest

from cloud_sync.sealing import HpkeOpener, HpkeSealer, receive_public
from cloud_sync.signing import Ed25519Signer, public_of, verify
from venuehub.simulator.faults import FAULTS
from venuehub.simulator.run import Orders, run_seeds
from venuehub.simulator.seeded_keys import seeded_keys

ONE, OTHER = bytes([1]) * 32, bytes([2]) * 32
TEXT, INFO = b"what is said", b"to whom"


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_signature_is_its_keys_over_its_bytes():
    real = public_of(ONE)
    with seeded_keys():
        signature = Ed25519Signer(ONE).sign(TEXT)
        assert (public_of(ONE), len(signature)) == (real, 64)
        assert verify(real, signature, TEXT)
        assert not verify(public_of(OTHER), signature, TEXT)
        assert not verify(real, signature, changed(TEXT, 0))
        assert not verify(real, changed(signature, 63), TEXT)
        assert not verify(bytes(32), signature, TEXT)  # a weak key
    assert not verify(real, signature, TEXT)
    assert verify(real, Ed25519Signer(ONE).sign(TEXT), TEXT)


@pytest.mark.parametrize("at", [0, 31, 32, 40, -1])
def test_what_is_sealed_opens_for_its_receiver_unchanged(at):
    with seeded_keys():
        sealer = HpkeSealer(receive_public(ONE))
        sealed = sealer.seal(TEXT, INFO)
        assert (sealed, len(sealed)) == (sealer.seal(TEXT, INFO), len(TEXT) + 48)

        def opened(data=sealed, *, key=ONE, info=INFO):
            return HpkeOpener([key]).open(suite=sealer.suite, recipient_key=sealer.key_id, sealed=data, info=info)

        assert opened() == TEXT
        assert opened(changed(sealed, at % len(sealed))) is opened(key=OTHER) is opened(info=b"another") is None
    assert HpkeSealer(receive_public(ONE)).seal(TEXT, INFO) != sealed


@pytest.mark.long
def test_a_report_is_the_same_whatever_the_number_of_processes():
    orders = Orders(steps=30, faults=tuple(FAULTS))
    alone, together = (run_seeds([2, 6], orders, jobs=jobs) for jobs in (1, 2))
    assert msgspec.json.encode(alone) == msgspec.json.encode(together)
