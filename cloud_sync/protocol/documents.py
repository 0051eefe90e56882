"""What a document or list is to what the hub already has: versions rise, content keeps its hash. Pure."""

import hashlib
from typing import Literal

from cloud_sync.protocol.messages import CredentialList, Document

Verdict = Literal["new", "known", "stale", "content"]


def judge_document(document: Document, *, have_version: int) -> Verdict:
    """Say whether to take a document. content: the bytes are not what its own hash says."""
    if hashlib.sha256(document.content).digest() != document.sha256:
        return "content"
    return judge_version(document.version, have_version=have_version)


def judge_version(version: int, *, have_version: int) -> Verdict:
    """Say whether `version` goes forward; a rollback of content is a higher version with the old content."""
    if version > have_version:
        return "new"
    return "known" if version == have_version else "stale"


def list_fits(update: CredentialList, *, have_version: int) -> bool:
    """Say whether a newer list can be put on what the hub has; if not, it asks for the full one."""
    return update.full or update.base_version == have_version
