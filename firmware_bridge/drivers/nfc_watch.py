"""Watches the field of a reader: one thread per reader looks into it, watched by the event loop.

Looking is left to the chip: one command with many attempts keeps the thread asleep until a card comes, so that an idle
reader costs few exchanges and a card is seen at once. While a card lies there, the field goes off and on for every
look: any card answers that, whatever it was told before. A card that the hub has just spoken to keeps its power for
`HOLD_S`, so that a proof in two halves reaches one session of the card.
"""

import asyncio
import contextlib
import errno
import queue
import termios
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from cloud_sync.ending import pause
from device_profiles.schema import Reader
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.nfc_cards import Field, Presence, Target, is_random_uid, read_credential
from firmware_bridge.drivers.nfc_relay import Order, order_of, relay
from firmware_bridge.drivers.telling import offer
from payment_core.commands import Command, Transceive, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CredentialPresented, CredentialRemoved

EMPTY_ATTEMPTS: Final = 100
"""Looks of the chip before it says "nobody" (0.5 s and more): so often does an idle reader show that it lives."""
SEEKING_ATTEMPTS: Final = 10
"""Looks for a card that was just there: long enough to sleep, short enough to notice that it left."""
FAULTS_IN_A_ROW: Final = 3
"""Broken answers that are taken for line noise; one more and the port is opened anew."""
FIRST_RETRY_S: Final = 0.2
LAST_RETRY_S: Final = 5.0
WATCH_EVERY_S: Final = 1.0
CLOSE_WAIT_S: Final = 2.0
HOLD_S: Final = 0.3
"""Time for the hub to go on with a card: several turns over the bus, and shorter than anybody changes cards."""
ORDERS_LIMIT: Final = 4
"""Orders of the hub that wait for the thread; a session at the counter has one at a time."""
PORT_FAULTS: Final = (OSError, termios.error)

_LOOKS_PER_REMOVAL: Final = 4


class OpenField(Field, Protocol):
    """A reader that is open. OSError or termios.error where it cannot be reached; EIO may be noise."""

    firmware: str

    def interrupt(self) -> None:
        """Make a call that waits in another thread return now."""

    def close(self) -> None:
        """Let go of the reader whatever state it is in; a second call does nothing."""


Opener = Callable[[], OpenField]


class _Session:
    """One thread on one open reader, from opening to its end. `said`, in order: online, wishes and answers, offline."""

    def __init__(self, path: str, reader: Reader, opener: Opener) -> None:
        self.said: asyncio.Queue[Condition | Wish | Answer] = asyncio.Queue()
        self.finished = asyncio.Event()
        self.open_ids: set[str] = set()
        self._path = path
        self._opener = opener
        self._removed_after_s = reader.removed_after_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._orders: queue.Queue[Order | None] = queue.Queue(ORDERS_LIMIT)
        self._field: OpenField | None = None
        self._progress_s = time.monotonic()
        self._thread = threading.Thread(target=self._main, name=f"nfc {path}", daemon=True)
        self._thread.start()

    def silent_s(self) -> float:
        """Return the seconds since the thread last got on."""
        return time.monotonic() - self._progress_s

    def order(self, order: Order) -> bool:
        """Hand over an order; say whether there was room."""
        with contextlib.suppress(queue.Full):
            self._orders.put_nowait(order)
            self.open_ids.add(order.id)
            return True
        return False

    async def stop(self) -> None:
        """Ask the thread to end and wait a little; one that hangs in the kernel is left behind, unheard."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._orders.put_nowait(None)  # wakes a thread that rests
        if self._field is not None:
            self._field.interrupt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self.finished.wait()

    def _main(self) -> None:
        """Run in the thread: open, look until told to stop or the port is gone, close."""
        reason = "closed here"
        try:
            self._field = field = self._opener()
            try:
                self._tell(self.said.put_nowait, Condition("online", firmware=field.firmware))
                self._watch_field(field)
            finally:
                with contextlib.suppress(*PORT_FAULTS):
                    field.off()
                field.close()
        except BlockingIOError as error:
            reason = f"{self._path}: {error.strerror}"
        except PORT_FAULTS as error:
            reason = f"{self._path}: {error}: is the reader plugged in and powered?"
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: whoever reads this must not replug in vain
            reason = f"{self._path}: {type(error).__name__}: {error}: a fault of this program, the port is opened anew"
        self._tell(self.said.put_nowait, Condition("offline", reason=reason))
        self._tell(self.finished.set)

    def _watch_field(self, field: OpenField) -> None:
        presence = Presence(removed_after_s=self._removed_after_s)
        faults, rest_s = 0, 0.0
        held: Target | None = None
        while not self._stopping.is_set():
            order = self._next_order(rest_s)
            try:
                if order is not None:
                    held = self._carry_out(field, presence, order, held)
                    rest_s = HOLD_S if held else 0.0
                elif held is not None:
                    field.off()  # its session is over; only a card that had no power answers the next look
                    held, rest_s = None, 0.0
                elif not self._stopping.is_set():
                    rest_s = self._look_once(field, presence)
                faults = 0
            except OSError as error:
                held, rest_s = None, 0.0
                faults += 1
                if error.errno != errno.EIO or faults > FAULTS_IN_A_ROW:
                    raise
            self._progress_s = time.monotonic()

    def _next_order(self, rest_s: float) -> Order | None:
        """Rest, unless there is an order; return it."""
        with contextlib.suppress(queue.Empty):
            return self._orders.get(timeout=rest_s) if rest_s else self._orders.get_nowait()
        return None

    def _carry_out(self, field: Field, presence: Presence, order: Order, held: Target | None) -> Target | None:
        """Relay an order and tell how it ended; return the card whose session stays open."""
        answer = Answer(order.id, "unknown", reason="reader_fault")
        try:
            answer, held = relay(field, order, held=held)
            if held is None:
                field.off()
            else:
                presence.is_same(held.uid, at_s=time.monotonic())
        finally:
            self._tell(self.said.put_nowait, answer)
        return held

    def _look_once(self, field: Field, presence: Presence) -> float:
        """Look once; present a card that is new, and say so when the last one has left. Return how long to rest, s."""
        if presence.uid:
            field.off()
        target = field.look(attempts=SEEKING_ATTEMPTS if presence.uid else EMPTY_ATTEMPTS)
        at_s = time.monotonic()
        if target is None:
            if presence.has_left(at_s=at_s):
                self._removed(presence, at_s)
        elif presence.is_same(target.uid, at_s=at_s):
            return self._removed_after_s / _LOOKS_PER_REMOVAL
        else:
            if presence.uid:
                self._removed(presence, at_s)
            self._present(field, presence, target, at_s)
        return 0.0

    def _present(self, field: Field, presence: Presence, target: Target, at_s: float) -> None:
        credential = read_credential(field, target)
        if credential == "torn":
            field.off()  # a card left in mid-session answers the next look only after it had no power
            return
        presence.placed(target.uid, at_s=time.monotonic())
        if isinstance(credential, CredentialPresented):
            self._publish(Wish(credential, at=at_s))

    def _removed(self, presence: Presence, at_s: float) -> None:
        uid = presence.clear()
        if not is_random_uid(uid):
            self._publish(Wish(CredentialRemoved(uid.hex().upper()), at=at_s))

    def _publish(self, wish: Wish) -> None:
        if not self._stopping.is_set():
            self._tell(self.said.put_nowait, wish)

    def _tell(self, call: Any, *arguments: Any) -> None:  # noqa: ANN401 - as call_soon_threadsafe takes them
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)


class FieldWatch:
    """A card reader (drivers/interface.py). It outlives unplugging: it says offline and opens again."""

    def __init__(self, *, path: str, reader: Reader, opener: Opener) -> None:
        """Take the timing from the profile. `path`: the reader's place, for messages; `opener` opens it in a thread."""
        self._path = path
        self._reader = reader
        self._opener = opener
        self._said: Condition | None = None
        self._session: _Session | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Report cards and relay orders until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_orders(inbox, outbox))
            group.create_task(self._keep_open(outbox))

    async def _take_orders(self, inbox: Inbox, outbox: Outbox) -> None:
        while True:
            command = await inbox.get()
            reason = self._passed_on(command)
            if reason:
                await outbox.put(Answer(command.id, "refused", reason=reason))

    def _passed_on(self, command: Command) -> str:
        """Give an order to the thread; return why not, "" where it went. A bare reader has neither lamp nor buzzer."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return "not_understood"
        order = order_of(command.id, body) if isinstance(body, Transceive) else None
        if order is None:
            return "not_supported"
        if self._session is None:
            return "offline"
        return "" if self._session.order(order) else "busy"

    async def _keep_open(self, outbox: Outbox) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            was_online = await self._one_session(outbox)
            retry_s = FIRST_RETRY_S if was_online else min(2 * retry_s, LAST_RETRY_S)
            await pause(retry_s)

    async def _one_session(self, outbox: Outbox) -> bool:
        """Open the port and serve it until it is gone or hangs; return whether the chip ever answered."""
        session = _Session(self._path, self._reader, self._opener)
        try:
            return await self._hear_out(session, outbox)
        finally:
            self._session = None
            await session.stop()

    async def _hear_out(self, session: _Session, outbox: Outbox) -> bool:
        was_online = False
        while True:
            said = await self._next_said(session)
            if isinstance(said, Wish):
                offer(outbox, said)
                continue
            if isinstance(said, Answer):
                session.open_ids.discard(said.command_id)
                await outbox.put(said)
                continue
            if said != self._said:
                self._said = said
                await outbox.put(said)
            if said.state != "online":
                self._session = None
                for command_id in sorted(session.open_ids):
                    await outbox.put(Answer(command_id, "unknown", reason="offline"))
                return was_online
            self._session, was_online = session, True

    async def _next_said(self, session: _Session) -> Condition | Wish | Answer:
        """Return what the thread says, or a fault where it has not got on for the profile's `watchdog_ms`."""
        limit_s = self._reader.watchdog_ms / 1000
        while session.silent_s() < limit_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(WATCH_EVERY_S, limit_s)):
                    return await session.said.get()
        reason = f"{self._path}: no answer for {limit_s:g} s: the port hangs, replug the reader"
        return Condition("fault", reason=reason)
