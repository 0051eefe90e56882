"""The hub's ear to the office: ESM1 bytes on a down topic become verified, typed events for the till and the uploader.

Nothing here is durable: the till commits what it takes. Versions and totals rise, so a replay is told here or there.
"""

from typing import Final

import msgspec

from cloud_sync.letters import read_message
from cloud_sync.protocol import documents
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.messages import (
    CloseOrder,
    CredentialList,
    Document,
    Elsewhere,
    HelloRequest,
    Lease,
    Message,
    Recall,
    Receipt,
    Rejected,
    RejectReason,
    ResendRequest,
    Trust,
)
from cloud_sync.sealing import Opener, is_receive_key
from cloud_sync.signing import is_weak_key

LIST: Final = "list"
TRUST: Final = "trust"


class ListMismatch(msgspec.Struct, frozen=True):
    """A differential list does not fit on what the hub has: ask for what came after `have_version`."""

    have_version: int
    base_version: int


class MessageRejected(msgspec.Struct, frozen=True):
    """Bytes that were thrown away, for the log and the counters."""

    topic: str
    reason: RejectReason


Word = Receipt | Lease | ResendRequest | HelloRequest | Recall | CloseOrder | Elsewhere | CarriedTaken
"""What counts as it comes; all else has versions."""
OfficeBody = Word | CredentialList | Document | Trust


class Accepted(msgspec.Struct, frozen=True):
    """A verified message of the office; the body says what it is. `number` as the office counted it."""

    number: int
    body: OfficeBody


Event = Accepted | ListMismatch | MessageRejected


class TrustState(msgspec.Struct, frozen=True, kw_only=True):
    """Which office keys count now. `trust_public` signs trust documents and never changes without a new claim."""

    trust_public: bytes
    sign_publics: tuple[bytes, ...]
    version: int = 0


class Downlink:
    """See the module. `versions`: document name to the version in effect, `list` and `trust` too."""

    def __init__(
        self, *, hub_id: bytes, tenant_id: bytes, opener: Opener, trust: TrustState, versions: dict[str, int]
    ) -> None:
        self._to = frozenset({hub_id, tenant_id})
        self._tenant_id = tenant_id
        self._opener = opener
        self._trust = trust
        self._versions = dict(versions)

    def in_effect(self, name: str, version: int) -> None:
        """Note that the till has committed a version: what is not newer is not handed over again."""
        self._versions[name] = max(version, self._versions.get(name, 0))

    def only_has(self, name: str, version: int) -> None:
        """Note that the till has no more than this version: what was handed over after it never got there."""
        self._versions[name] = version

    def on_message(self, topic: str, payload: bytes) -> list[Event]:
        """Take what came on a down or tenant topic. Never raises on bytes; a version in effect gives nothing."""
        message = read_message(payload, signers_for=self._signers, to=self._to, opener=self._opener)
        if isinstance(message, Rejected):
            return [MessageRejected(topic, message.reason)]
        if isinstance(message.body, Word):
            return [Accepted(message.number, message.body)]
        match message.body:
            case CredentialList() as update:
                return self._on_list(topic, message.number, update)
            case Document() as document:
                return self._on_document(topic, message.number, document)
            case Trust() as trust:
                return self._on_trust(topic, message.number, trust)
            case _:
                return [MessageRejected(topic, "kind")]

    def _signers(self, message: Message) -> tuple[bytes, ...]:
        if message.sender != self._tenant_id:
            return ()
        if isinstance(message.body, Trust):
            return (self._trust.trust_public,)
        return self._trust.sign_publics

    def _on_document(self, topic: str, number: int, document: Document) -> list[Event]:
        if document.name in (LIST, TRUST):  # they come in messages of their own, one of them under its own key
            return [MessageRejected(topic, "content")]
        have = self._versions.get(document.name, 0)
        verdict = documents.judge_document(document, have_version=have)
        return self._by_verdict(topic, verdict, Accepted(number, document))

    def _on_list(self, topic: str, number: int, update: CredentialList) -> list[Event]:
        have = self._versions.get(LIST, 0)
        verdict = documents.judge_version(update.version, have_version=have)
        if verdict == "new" and not documents.list_fits(update, have_version=have):
            return [ListMismatch(have, update.base_version)]
        return self._by_verdict(topic, verdict, Accepted(number, update))

    def _on_trust(self, topic: str, number: int, trust: Trust) -> list[Event]:
        usable = is_receive_key(trust.receive_key, trust.receive_suite)
        keys = (*trust.sign_keys, *(peer.sign_public for peer in trust.peers))
        usable = usable and all(is_receive_key(peer.receive_public, peer.receive_suite) for peer in trust.peers)
        if not usable or not trust.sign_keys or any(is_weak_key(key) for key in keys):
            return [MessageRejected(topic, "content")]
        have = max(self._trust.version, self._versions.get(TRUST, 0))
        verdict = documents.judge_version(trust.version, have_version=have)
        if verdict == "new":
            self._trust = msgspec.structs.replace(self._trust, sign_publics=trust.sign_keys, version=trust.version)
        return self._by_verdict(topic, verdict, Accepted(number, trust))

    def _by_verdict(self, topic: str, verdict: documents.Verdict, event: Accepted) -> list[Event]:
        match verdict:
            case "new":
                return [event]
            case "known":
                return []
            case "stale" | "content":
                return [MessageRejected(topic, verdict)]
