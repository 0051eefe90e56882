"""Verbs of a till roll about devices of the trade: hoppers, vending machines, and a face as the second factor."""

from collections.abc import Callable
from typing import Any

import msgspec

from device_profiles.loading import load_catalog
from edge_agent.messages import Born, DeviceIs, DocumentArrived, Effect, Send
from firmware_bridge.introductions import capabilities_of
from payment_core.bus import Birth, DeviceState
from payment_core.events import CashSale, CredentialPresented, PrizeOut, SessionEnded, VendRequested
from tests.support.hall import Hall, account_of, devices_document, uid_of
from tests.support.roll_words import RollError, minor

PROFILES = {
    "a-ticket-dispenser": "ticket-dl1275",
    "a-hopper": "cctalk-hopper-serial",
    "a-vending-machine": "qibixx-vending",
}
CATALOG = load_catalog()
CAPABILITIES = {what: capabilities_of(CATALOG[name]) for what, name in PROFILES.items()}
"""What a bridge really says of them."""


class DeviceVerbs:
    """Part of TillRoll."""

    lan: Any
    scene: Any
    hall: Hall
    step: Callable[..., list[Effect]]
    _lane: Callable[[str], int]
    _new_list: Callable[..., None]
    last_sent: dict[tuple[str, str], str]
    """The id of the newest command of a kind to a device."""

    def note_sent(self, effects: list[Effect]) -> None:
        """Remember what devices were told."""
        self.last_sent |= {(one.command.kind, one.device): one.command.id for one in effects if isinstance(one, Send)}

    def _output_line(self, machine: str, _is: str, what: str, *most: str) -> None:
        """`racer-1 is a-hopper`, or `racer-1 is a-vending-machine asking up to 10.00`: its price then, too."""
        self.step(self.hall.born(self._lane(machine), *CAPABILITIES[what]))
        if most:
            asks = {"price": [[minor(most[-1]), "CNY"]], "machine": machine, "asks": True}
            self._new_list({"price": [[self.scene.price, self.scene.unit]]}, asks)

    def _choice_line(self, amount: str, machine: str, *_before: str) -> None:
        """`3.50 racer-1`: chosen by who stands there; `3.50 racer-1 before any card`."""
        output = f"coin-{self._lane(machine)}"
        session = "" if _before else self.last_sent[("BeginSession", output)]
        self.step(self.hall.event(output, VendRequested(minor(amount), 1, session)))

    def _session_line(self, machine: str, _ends: str) -> None:
        output = f"coin-{self._lane(machine)}"
        self.step(self.hall.event(output, SessionEnded(self.last_sent[("BeginSession", output)])))

    def _sells_line(self, machine: str, amount: str, *_for_cash: str) -> None:
        """`racer-1 3.00 for cash of its own`."""
        self.step(self.hall.event(f"coin-{self._lane(machine)}", CashSale(minor(amount), 1)))

    def _prize_line(self, machine: str, *_leaves: str) -> None:
        """`racer-1 leaves`: a sensor sees it."""
        self.step(self.hall.event(f"coin-{self._lane(machine)}", PrizeOut(1)))

    def _camera_line(self, _stands: str, _at: str, machine: str) -> None:
        """`stands at racer-1`: second factors are faces there."""
        document = msgspec.json.decode(devices_document(3, version=3))
        document["lanes"][self._lane(machine) - 1]["step_up_reader"] = "camera"
        birth = Birth("hlk-fm225", 1, "boot-1", "bridge-1", capabilities=("Verify",))
        known = DocumentArrived("devices", 3, msgspec.json.encode(document))
        self.step(known, Born("camera", birth), DeviceIs("camera", DeviceState("online", 0)))

    def _face_line(self, card: str, *what: str) -> None:
        """`card-7 is known`; `card-7 is seen` by the camera, as it was asked; `card-7 is seen unasked`."""
        if what == ("is", "known"):
            update = self.hall.member(f"face of {card}", class_="B", media="face")
            row = msgspec.structs.replace(update.rows[0], account_id=account_of(card))
            self.step(msgspec.structs.replace(update, rows=(row,)))
            return
        if what[:2] != ("is", "seen"):
            message = f"a face is known, seen, or seen unasked, not {' '.join(what)}"
            raise RollError(message)
        intent = "" if what[2:] else self.last_sent[("Verify", "camera")]
        shown = CredentialPresented("face", uid_of(f"face of {card}"), "B", intent=intent)
        self.step(self.hall.event("camera", shown))
