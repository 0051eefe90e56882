"""The only door to aiomqtt: one clean MQTT session, with TCP_NODELAY on and every SUBACK code read.

aiomqtt joins paho to the event loop; its own queue and its publish call are left aside, because they build a task per
message, warn at ten publishes in flight and never read a PUBACK's code. Bounds and what happens at them:

- inbox: `INBOX_MESSAGES` and `INBOX_BYTES`; a message beyond either is dropped and counted in `dropped`. Nothing is
  lost by that for good: on our topics a state is retained, a value event, batch or command result is resent until it is
  confirmed, and a wish that waits behind ten thousand others is too old to count.
- in flight: `IN_FLIGHT_MESSAGES` or the broker's own Receive Maximum, whichever is less; a publisher beyond it waits.
- at a lost connection everything that waits raises BrokerUnavailableError; a new link is a new MqttLink.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from socket import IPPROTO_TCP, TCP_NODELAY
from types import TracebackType
from typing import Any, Final, Self

import aiomqtt
import msgspec
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, error_string
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud_sync.mqtt_faults import (
    BrokerSilentError,
    BrokerUnavailableError,
    MqttLinkError,
    PublishRefusedError,
    SubscriptionRefusedError,
    why_lost,
)
from cloud_sync.mqtt_tls import tls_context
from cloud_sync.protocol.retry import FLOOR_MS

__all__ = [
    "BrokerSilentError", "BrokerUnavailableError", "Inbound", "MqttLink", "MqttLinkError", "MqttSettings",
    "PublishRefusedError", "SubscriptionRefusedError",
]  # fmt: skip

INBOX_MESSAGES: Final = 10_000
INBOX_BYTES: Final = 32 * 1024 * 1024
IN_FLIGHT_MESSAGES: Final = 1_000
KEEPALIVE_S: Final = 30
ANSWER_S: Final = 10.0
"""How long a CONNACK, SUBACK or PUBACK may take before the broker counts as gone."""
_UNANSWERED: Final = (TimeoutError, ConnectionResetError, ssl.SSLEOFError)
"""How a connect ends to which nobody said a word. Without TLS a broker that hangs up may not speak MQTT 5."""
_REFUSED: Final = 0x80
_WRONG_VERSION: Final = frozenset({0x01, 0x84})
"""CONNACK codes of a broker that does not take MQTT 5: 3.1.1's own, and paho's translation of it."""


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are there. Empty text: not used.

    TLS is on as soon as `ca_file` is named; `cert_file` and `key_file` then prove who we are. The will is published
    with QoS 1 and retained, for it replaces a retained state.
    """

    host: str
    port: int = 1883
    username: str = ""
    password: str = ""
    client_id: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    will_topic: str = ""
    will_payload: bytes = b""

    def __repr__(self) -> str:
        """Leave the password out: settings end up in logs and tracebacks."""
        return f"MqttSettings(host={self.host!r}, port={self.port}, client_id={self.client_id!r})"


class Inbound(msgspec.Struct, frozen=True):
    """One message that arrived. `retained`: the broker kept it from before we subscribed."""

    topic: str
    payload: bytes
    retained: bool


class MqttLink:
    """One connection: `async with MqttLink(settings) as link`. Not reused after it ends."""

    def __init__(self, settings: MqttSettings) -> None:
        """Take the settings; nothing is opened before `async with`."""
        self.dropped = 0
        """Messages thrown away because the inbox was full."""
        self.acknowledged = 0
        """PUBACKs that came; of QoS 0, what went to the system."""
        self.refused = 0
        """`publish_soon` messages that a version 5 broker refused."""
        self.version = 0
        """5, or 4 for MQTT 3.1.1, once connected."""
        self._settings = settings
        self._where = f"{settings.host}:{settings.port}"
        self._in_flight_limit = IN_FLIGHT_MESSAGES
        self._inbox: asyncio.Queue[Inbound | None] = asyncio.Queue()
        self._inbox_bytes = 0
        self._flying: dict[int, asyncio.Future[int] | None] = {}
        self._room = asyncio.Event()
        self._lost: BrokerUnavailableError | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect with MQTT 5, or 3.1.1 where the broker does not take 5."""
        own = self._settings
        tls = tls_context(self._where, ca_file=own.ca_file, cert_file=own.cert_file, key_file=own.key_file)
        try:
            await self._connect(aiomqtt.ProtocolVersion.V5, tls)
        except _WrongVersionError:
            await asyncio.sleep(FLOOR_MS / 1_000)  # a broker that only hangs up is met twice a second, not more
            await self._connect(aiomqtt.ProtocolVersion.V311, tls)
        self._watch = asyncio.create_task(self._watch_connection(), name=f"mqtt {self._where}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye to the broker (the will is not published) and end everything that waits."""
        try:
            if self._watch is not None:
                self._watch.cancel()
                await asyncio.wait([self._watch])  # `await` would take our own cancellation for the watch's
        finally:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.__aexit__(kind, error, trace)
            self._end("the link was closed")

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe to topic filters in one packet; SubscriptionRefusedError names the first that was not granted."""
        five = self.version == aiomqtt.ProtocolVersion.V5
        wanted: list[Any] = [(text, SubscribeOptions(qos=qos) if five else qos) for text in filters]
        try:
            codes = await self._client.subscribe(wanted, timeout=ANSWER_S)
        except aiomqtt.MqttError as error:
            hint = f"no answer to a subscription ({error})"
            raise self._fault(hint) from error
        for text, code in zip(filters, codes, strict=True):
            number = _number(code)
            if number >= _REFUSED:
                raise SubscriptionRefusedError(text, number)

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish and wait: for the PUBACK (QoS 1), or until the bytes are with the system (QoS 0)."""
        await self._wait_for_room()
        answer: asyncio.Future[int] = self._loop.create_future()
        mid = self._send(topic, payload, qos=qos, retain=retain)
        self._flying[mid] = answer
        try:
            async with asyncio.timeout(ANSWER_S):
                code = await answer
        except TimeoutError as error:
            hint = f"no answer to a publish within {ANSWER_S:.0f} s"
            raise self._fault(hint) from error
        finally:
            self._flying.pop(mid, None)
        if code >= _REFUSED:
            raise PublishRefusedError(topic, code)

    async def publish_soon(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message over without waiting for its PUBACK; waits only while the in-flight bound is reached."""
        if len(self._flying) >= self._in_flight_limit or self._lost is not None:
            await self._wait_for_room()
        self._flying[self._send(topic, payload, qos=qos, retain=retain)] = None

    async def drain(self) -> None:
        """Wait until everything that was published has been acknowledged."""
        while self._flying and self._lost is None:
            self._room.clear()
            await self._room.wait()
        if self._lost is not None:
            raise self._lost

    async def messages(self) -> AsyncIterator[Inbound]:
        """Yield what arrives, in order, for one reader; a lost connection raises BrokerUnavailableError."""
        while True:
            message = await self._inbox.get()
            if message is None:
                break
            self._inbox_bytes -= _size(message)
            yield message
        raise self._lost or self._fault("the link was closed")

    # ---- inside ----

    async def _connect(self, version: aiomqtt.ProtocolVersion, tls: ssl.SSLContext | None) -> None:
        settings = self._settings
        five = version is aiomqtt.ProtocolVersion.V5
        will = aiomqtt.Will(settings.will_topic, settings.will_payload, qos=1, retain=True)
        self._loop = asyncio.get_running_loop()
        self._client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username or None,
            password=settings.password or None,
            identifier=settings.client_id or None,
            protocol=version,
            will=will if settings.will_topic else None,
            clean_session=None if five else True,
            clean_start=five or MQTT_CLEAN_START_FIRST_ONLY,
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=IN_FLIGHT_MESSAGES,
            max_queued_outgoing_messages=IN_FLIGHT_MESSAGES,
            tls_context=tls,
            socket_options=[(IPPROTO_TCP, TCP_NODELAY, 1)],
        )
        # aiomqtt offers no public way to its paho client; the two callbacks below are what keeps our path short.
        self._paho = self._client._client  # noqa: SLF001
        self._paho.on_message = self._on_message
        self._paho.on_publish = self._on_publish
        refused = self._loop.create_future()
        self._hook_handshake(refused)
        entering = asyncio.create_task(self._client.__aenter__())
        try:
            await asyncio.wait((entering, refused), return_when=asyncio.FIRST_COMPLETED)
            if not entering.done():
                raise _WrongVersionError if five else self._fault("it hung up instead of answering the connect")
            await entering
        except MqttConnectError as error:
            if five and _number(error.rc) in _WRONG_VERSION:
                raise _WrongVersionError from error
            hint = f"it refused us: {error}; look at user, password and client id"
            raise self._fault(hint) from error
        except aiomqtt.MqttError as error:
            hint = f"{error}; is it running, and is this its port?"
            if isinstance(error.__context__, _UNANSWERED):  # aiomqtt says it in words alone
                raise BrokerSilentError(self._where, hint) from error
            raise self._fault(hint) from error
        finally:
            entering.cancel()
            entering.add_done_callback(_seen)
        self.version = int(version)

    def _hook_handshake(self, refused: asyncio.Future[None]) -> None:
        """See a broker that hangs up without a CONNACK (aiomqtt would wait on), and read its Receive Maximum."""
        on_connect, on_disconnect = self._paho.on_connect, self._paho.on_disconnect

        def connected(*arguments: Any) -> None:  # noqa: ANN401 - paho passes five arguments of its own types on
            broker_limit = getattr(arguments[4], "ReceiveMaximum", IN_FLIGHT_MESSAGES)
            self._in_flight_limit = min(IN_FLIGHT_MESSAGES, broker_limit)
            on_connect(*arguments)  # type: ignore[misc]

        def disconnected(*arguments: Any) -> None:  # noqa: ANN401
            on_disconnect(*arguments)  # type: ignore[misc]
            if not refused.done():
                refused.set_result(None)

        self._paho.on_connect = connected
        self._paho.on_disconnect = disconnected

    async def _watch_connection(self) -> None:
        """Wait for the connection's end: aiomqtt's own queue stays empty, so its iterator can only end so."""
        try:
            await anext(aiter(self._client.messages))
        except aiomqtt.MqttError as error:
            cause = error.__cause__ or error
            code = _number(cause.rc) if isinstance(cause, aiomqtt.MqttCodeError) and cause.rc is not None else 0
            self._end(f"the connection was lost ({why_lost(code, str(cause))})")

    def _end(self, hint: str) -> None:
        if self._lost is None:
            self._lost = self._fault(hint)
        for answer in self._flying.values():
            if answer is not None and not answer.done():
                answer.set_exception(self._lost)
        self._flying.clear()
        self._room.set()
        self._inbox.put_nowait(None)

    def _fault(self, hint: str) -> BrokerUnavailableError:
        return BrokerUnavailableError(self._where, hint)

    async def _wait_for_room(self) -> None:
        while self._lost is None and len(self._flying) >= self._in_flight_limit:
            self._room.clear()
            await self._room.wait()
        if self._lost is not None:
            raise self._lost

    def _send(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        info = self._paho.publish(topic, payload, qos, retain)
        if info.rc != 0:
            hint = f"a publish was not taken ({error_string(info.rc)})"
            raise self._fault(hint)
        return info.mid

    def _on_publish(self, *arguments: Any) -> None:  # noqa: ANN401 - client, userdata, message id, reason, properties
        answer = self._flying.pop(arguments[2], None)
        code = arguments[3].value
        self.acknowledged += 1
        if answer is not None:
            if not answer.done():
                answer.set_result(code)
        elif code >= _REFUSED:
            self.refused += 1
        self._room.set()

    def _on_message(self, _client: object, _userdata: object, message: Any) -> None:  # noqa: ANN401 - paho's message
        arrived = Inbound(topic=message.topic, payload=bytes(message.payload), retained=message.retain)
        if self._inbox.qsize() >= INBOX_MESSAGES or self._inbox_bytes + _size(arrived) > INBOX_BYTES:
            self.dropped += 1
            return
        self._inbox_bytes += _size(arrived)
        self._inbox.put_nowait(arrived)


def _size(message: Inbound) -> int:
    return len(message.topic) + len(message.payload)


class _WrongVersionError(Exception):
    """The broker does not speak the version we tried."""


def _seen(entering: asyncio.Task[aiomqtt.Client]) -> None:
    """Look at what came of a connect that nobody waits for any more: asyncio would complain of it otherwise."""
    if not entering.cancelled():
        entering.exception()


def _number(code: Any) -> int:  # noqa: ANN401 - a plain code, or paho's ReasonCode
    return code if isinstance(code, int) else int(code.value)
