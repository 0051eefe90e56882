"""The release before this one: what it sends is kept as vectors that nobody changes, and its newer forms are read."""

import hashlib
import tomllib

import msgpack
import pytest

from cloud_sync.protocol import messages
from cloud_sync.protocol.messages import Rejected, decode_message
from tests.cloud_sync.protocol.test_messages import ALL
from tests.support.tree import ROOT

VECTORS = ROOT / "tests" / "vectors"
RELEASES = tomllib.loads((VECTORS / "releases.toml").read_text(encoding="utf-8"))["release"]


def test_the_vectors_of_the_release_before_are_here_as_they_were():
    for release in RELEASES:
        found = {name: hashlib.sha256((VECTORS / name).read_bytes()).hexdigest()[:16] for name in release["vectors"]}
        assert found == release["vectors"]


def newer_forms_that_are_rejected():
    """Return the messages that the release before sends and that it could not read with a field more."""
    outer = [msgpack.unpackb(bytes.fromhex(vector["message"])) for vector in ALL]
    newer = [msgpack.packb([*one[:5], [*one[5], *[None] * 9, 7]]) for one in outer if one[0] == "receipt"]
    newer += [msgpack.packb([*one[:5], [*one[5], "later"]]) for one in outer if one[0] in ("hello", "document")]
    return [one for one in newer if decode_message(one) == Rejected("canonical")]


def test_no_newer_form_is_rejected_for_what_was_appended():
    assert newer_forms_that_are_rejected() == []


def test_a_build_that_takes_no_newer_form_is_caught(monkeypatch):
    def strict(data, again):
        return again.startswith(data[:1]) and (data == again or len(data) < len(again))

    monkeypatch.setattr(messages, "is_canonical", strict)
    with pytest.raises(AssertionError):
        test_no_newer_form_is_rejected_for_what_was_appended()
