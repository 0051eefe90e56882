"""Other people's software on the simulated PN532: nfcpy by its own way in, ISO-DEP and all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nfc.clf
import nfc.clf.pn532
import nfc.clf.transport
import nfc.tag
import pytest

from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.simulators.pn532 import Pn532Simulator
from tests.support.on_a_pty import on_a_pty

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def frontend(tmp_path: Path, card: str) -> Iterator[nfc.clf.ContactlessFrontend]:
    """Open nfcpy on a reader with a card in its field."""
    with on_a_pty(Pn532Simulator(card=card), tmp_path / "reader") as running:
        clf = nfc.clf.ContactlessFrontend()
        clf.device = nfc.clf.pn532.init(nfc.clf.transport.TTY(str(running.link)))
        try:
            yield clf
        finally:
            clf.close()


def test_an_ntag213_is_read_and_written_and_guarded(tmp_path: Path) -> None:
    with frontend(tmp_path, "ntag213:04A1B2C3D4E580") as clf:
        target = clf.sense(nfc.clf.RemoteTarget("106A"), nfc.clf.RemoteTarget("106B"), nfc.clf.RemoteTarget("212F"))
        assert str(target) == "106A sdd_res=04A1B2C3D4E580 sel_res=00 sens_res=4400"
        tag = nfc.tag.activate(clf, target)
        assert tag.product == "NXP NTAG213"
        assert tag.ndef.records[0].iri == "https://card.example/hello"
        assert tag.signature == bytes(range(32))
        assert tag.protect(b"secret", read_protect=False)
        assert tag.authenticate(b"secret")
        assert not tag.authenticate(b"wrong1")


def test_an_ntag424_is_read_over_iso_dep_in_software(tmp_path: Path) -> None:
    with frontend(tmp_path, "ntag424:04DE5F1EACC040:" + "00" * 16) as clf:
        tag = nfc.tag.activate(clf, clf.sense(nfc.clf.RemoteTarget("106A")))
        assert tag.type == "Type4Tag"
        proof = prove_sun(url=tag.ndef.records[0].iri, token_key=bytes(16), last_counter=0)
        assert proof == SunProof(uid="04DE5F1EACC040", counter=1)
        assert tag.is_present


def test_nobody_in_the_field(tmp_path: Path) -> None:
    with on_a_pty(Pn532Simulator(), tmp_path / "reader") as running:
        clf = nfc.clf.ContactlessFrontend()
        clf.device = nfc.clf.pn532.init(nfc.clf.transport.TTY(str(running.link)))
        kinds = [nfc.clf.RemoteTarget(kind) for kind in ("106A", "106B", "212F")]
        assert clf.sense(*kinds, iterations=2, interval=0.01) is None
        clf.close()
