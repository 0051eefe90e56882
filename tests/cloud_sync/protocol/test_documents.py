"""Versions rise, content keeps its hash, a differential fits only on its base."""

import hashlib

import pytest

from cloud_sync.protocol.documents import judge_document, list_fits
from cloud_sync.protocol.messages import CredentialList, Document

CONTENT = b'{"a":1}'


@pytest.mark.parametrize(("have", "verdict"), [(0, "new"), (6, "new"), (7, "known"), (8, "stale")])
def test_versions(have, verdict):
    document = Document("prices", 7, hashlib.sha256(CONTENT).digest(), CONTENT, 0)
    assert judge_document(document, have_version=have) == verdict


def test_content_that_is_not_its_hash_is_refused_before_anything_else():
    assert judge_document(Document("prices", 7, bytes(32), CONTENT, 0), have_version=9) == "content"


def test_lists():
    change = CredentialList(5, full=False, base_version=4, rows=())
    assert list_fits(change, have_version=4)
    assert not list_fits(change, have_version=3)
    assert list_fits(CredentialList(6, full=True, base_version=0, rows=()), have_version=1)
