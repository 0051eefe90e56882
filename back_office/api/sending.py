"""Sends what waits for webhooks: each webhook's events in order, at least once, again after a while where it fails."""

import asyncio
import random
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from msgspec.structs import replace

from back_office.api.calling import MOST_ANSWER, Called, call
from back_office.api.desk_routes import MOST_HOOKS
from back_office.api.once import KEEP_MS
from back_office.store import api_keys, papers, webhooks
from back_office.store.engine import Store, Transaction
from back_office.store.faults import StoreError
from back_office.store.papers import Alarm
from back_office.store.webhooks import Delivery, HookState, Webhook
from payment_core.identifiers import uuid_text

_MINUTE_MS: Final = 60_000
WAITS_MS: Final = tuple(minutes * _MINUTE_MS for minutes in (1, 5, 30, 120, 360, 1_440))
"""How long it is waited behind each failure of one event, give or take a fifth; behind the last the webhook is off."""
JITTER: Final = 0.2
_LONGEST_MS: Final = int(WAITS_MS[-1] * (1 + JITTER))
CLAIM_MS: Final = 2 * _MINUTE_MS
"""How long one who sends has for it: longer than a call. One who is killed meanwhile sends it once more then."""
MOST_WAITING: Final = 10_000
"""Events that came for one webhook since it was made or resumed and wait; beyond them it is off."""
MOST_IN_A_ROW: Final = 100
LOOK_S: Final = 1.0
TIDY_S: Final = 3_600.0
OFF: Final = "webhook_off"
"""The alarm."""
log = structlog.get_logger()
Call = Callable[[Webhook, Delivery, Collection[str]], Called]


class Sender:
    """One operator's outbox. call: how an event is sent, for a test; dice: from 0 to below 1."""

    def __init__(
        self, store: Store, tenant_id: bytes, clock: Callable[[], int], private: Collection[str] = (),
        *, call: Call | None = None, dice: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._store, self._tenant_id, self._clock, self._private = store, tenant_id, clock, private
        self._call = call or self._over_the_net
        self._dice = dice
        self._busy: set[bytes] = set()
        self._stopped = False

    async def run(self) -> None:
        """Send for as long as the office runs, each webhook for itself: a slow one holds up no other."""
        loop = asyncio.get_running_loop()
        tidied_s = float("-inf")
        pool = ThreadPoolExecutor(MOST_HOOKS, thread_name_prefix="webhooks")
        looking = ThreadPoolExecutor(1, thread_name_prefix="webhooks-due")  # of its own: calls hold up no look
        try:
            while True:
                for hook_id in await loop.run_in_executor(looking, self.due):
                    if hook_id not in self._busy:
                        self._busy.add(hook_id)
                        pool.submit(self._drained, hook_id)
                if loop.time() - tidied_s >= TIDY_S:
                    tidied_s = loop.time()
                    await loop.run_in_executor(looking, self.tidy)
                await asyncio.sleep(LOOK_S)
        finally:
            self._stopped = True
            looking.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    def due(self) -> list[bytes]:
        """Return the webhooks whose turn it is; one for which too much waits is switched off."""
        try:
            with self._store.reading() as tx:
                found = [
                    (hook, webhooks.first_waiting(tx, self._tenant_id, hook.hook_id))
                    for hook in webhooks.hooks(tx, self._tenant_id)
                    if hook.state == "active"
                ]
            for hook, first in found:
                if first is not None and hook.last_no - first.number >= MOST_WAITING:
                    self._store.write(lambda tx, hook=hook: self._bound(tx, hook))  # type: ignore[misc]
        except StoreError as error:
            log.warning("webhooks.not_looked_at", why=str(error))
            return []
        return [hook.hook_id for hook, first in found if first is not None and _is_due(first, self._clock())]

    def drain(self, hook_id: bytes) -> None:
        """Send what is due of one webhook in its order, until one is not taken."""
        for _ in range(MOST_IN_A_ROW):
            if self._stopped:
                return
            claimed = self._store.write(lambda tx: self._claim(tx, hook_id))
            if claimed is None:
                return
            hook, delivery = claimed
            came = self._called(hook, delivery)
            self._store.write(lambda tx, hook=hook, at=delivery, came=came: self._note(tx, hook, at, came))  # type: ignore[misc]
            if not came.taken:
                return

    def tidy(self) -> None:
        """Let go of answers and of events that went out, of a month ago."""
        before_ms = self._clock() - KEEP_MS

        def forget(tx: Transaction) -> None:
            api_keys.forget_answers(tx, self._tenant_id, before_ms=before_ms)
            webhooks.forget_deliveries(tx, self._tenant_id, before_ms=before_ms)

        try:
            self._store.write(forget)
        except StoreError as error:
            log.warning("webhooks.not_tidied", why=str(error))

    # ---- inside ----

    def _called(self, hook: Webhook, delivery: Delivery) -> Called:
        try:
            return self._call(hook, delivery, self._private)
        except Exception as error:  # whatever it is, it counts as a try: else the event would be sent for ever
            log.exception("webhook.call_failed", hook=hook.hook_id.hex(), number=delivery.number)
            return Called(taken=False, answer=f"{type(error).__name__}: {error}"[:MOST_ANSWER])

    def _over_the_net(self, hook: Webhook, delivery: Delivery, private: Collection[str]) -> Called:
        return call(hook, delivery, private, now_ms=self._clock())

    def _drained(self, hook_id: bytes) -> None:
        try:
            self.drain(hook_id)
        except StoreError as error:
            log.warning("webhook.not_sent", hook=hook_id.hex(), why=str(error))
        except Exception:  # nobody reads what becomes of this thread
            log.exception("webhook.not_sent", hook=hook_id.hex())
        finally:
            self._busy.discard(hook_id)

    def _claim(self, tx: Transaction, hook_id: bytes) -> tuple[Webhook, Delivery] | None:
        """Take the event whose turn it is, so that nobody else sends it meanwhile."""
        hook = webhooks.hook(tx, self._tenant_id, hook_id)
        first = webhooks.first_waiting(tx, self._tenant_id, hook_id)
        now_ms = self._clock()
        if hook is None or hook.state != "active" or first is None or not _is_due(first, now_ms):
            return None
        taken = replace(first, attempts=first.attempts + 1, due_ms=now_ms + CLAIM_MS)
        webhooks.change_delivery(tx, self._tenant_id, taken)
        return hook, taken

    def _note(self, tx: Transaction, hook: Webhook, delivery: Delivery, came: Called) -> None:
        now_ms = self._clock()
        if came.taken:
            done = replace(delivery, state="delivered", due_ms=now_ms, done_ms=now_ms, answer=came.answer)
            webhooks.change_delivery(tx, self._tenant_id, done)
            return
        if not self._is(tx, hook, "active", "disabled"):
            return  # it was ended meanwhile, and this went with it
        wait_ms = WAITS_MS[min(delivery.attempts, len(WAITS_MS)) - 1]
        due_ms = now_ms + int(wait_ms * (1 - JITTER + 2 * JITTER * self._dice()))
        webhooks.change_delivery(tx, self._tenant_id, replace(delivery, due_ms=due_ms, answer=came.answer))
        log.warning("webhook.not_taken", hook=hook.hook_id.hex(), number=delivery.number, why=came.answer)
        if delivery.attempts > len(WAITS_MS):
            self._switch_off(tx, hook, f"event {delivery.number} was sent {delivery.attempts} times: {came.answer}")

    def _is(self, tx: Transaction, hook: Webhook, *states: HookState) -> bool:
        now = webhooks.hook(tx, self._tenant_id, hook.hook_id)
        return now is not None and now.state in states

    def _bound(self, tx: Transaction, hook: Webhook) -> None:
        first = webhooks.first_fresh(tx, self._tenant_id, hook.hook_id)
        if first is not None and hook.last_no - first.number >= MOST_WAITING:
            self._switch_off(tx, hook, f"{MOST_WAITING} events wait for it")

    def _switch_off(self, tx: Transaction, hook: Webhook, why: str) -> None:
        if not self._is(tx, hook, "active"):
            return
        now_ms = self._clock()
        webhooks.set_state(tx, self._tenant_id, hook.hook_id, "disabled", now_ms=now_ms)
        text = f"webhook {uuid_text(hook.hook_id)} is switched off: {why}"
        papers.raise_alarm(tx, self._tenant_id, Alarm(OFF, hook.venue_id or self._tenant_id, text, now_ms))


def _is_due(first: Delivery, now_ms: int) -> bool:
    """Say whether it is an event's turn. What no wait can have set was set by a clock that was ahead: it counts not."""
    return first.attempts == 0 or not now_ms < first.due_ms <= now_ms + _LONGEST_MS
