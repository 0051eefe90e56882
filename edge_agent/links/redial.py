"""When a hub connects again: each by its own dice, ever later where nobody is there, and soon where somebody was."""

import random
import time
from typing import Final

from cloud_sync.mqtt_link import BrokerSilentError
from cloud_sync.protocol.retry import CAP_MS, SILENT_CAP_MS, reconnect_delay_ms
from edge_agent.log_lines import log

LASTED_S: Final = reconnect_delay_ms(3, dice=1.0) / 1_000
"""A connection that the office has answered and that stood for so long was a good one."""
STOOD_S: Final = 45.0
"""So long stands only one that the broker answers: it was dropped to be sure, and its hub is soon back behind it."""
_TOLD: Final = (0, 5)


class Redial:
    """One connect after another: `begin`, `answered`, `failed`, `wait_s`."""

    def __init__(self) -> None:
        self._attempt = 0
        self._began = 0.0
        self._answered = False
        self._cap_ms = CAP_MS

    def begin(self) -> None:
        """Note that a connect begins."""
        self._began = time.monotonic()
        self._answered = False

    def answered(self) -> None:
        """Note that the office has said something. One that is silent is overwhelmed: its hubs come later."""
        self._answered = True

    def failed(self, fault: Exception) -> None:
        """Note how the connect, or the connection, ended; it is logged now and then."""
        self._cap_ms = SILENT_CAP_MS if isinstance(fault, BrokerSilentError) else CAP_MS
        if self._attempt in _TOLD:
            log("uplink.down", why=str(fault))

    def wait_s(self) -> float:
        """Return how long to wait before the next connect."""
        stood_s = time.monotonic() - self._began
        stood = stood_s > STOOD_S or (self._answered and stood_s > LASTED_S)
        self._attempt = 0 if stood else self._attempt + 1
        return reconnect_delay_ms(self._attempt, dice=random.random(), cap_ms=self._cap_ms) / 1_000  # noqa: S311 - jitter
