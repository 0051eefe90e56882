"""How each device is told on the bus: its birth and its state; and what a bridge answers about itself."""

import asyncio
from collections.abc import Mapping
from typing import Final

from device_profiles.schema import Profile
from firmware_bridge.bus_client import BusClient
from firmware_bridge.clocks import utc_ms
from firmware_bridge.drivers.interface import Condition
from firmware_bridge.golden import check_profile
from firmware_bridge.log_lines import log_line
from payment_core.bus import Birth, DeviceState
from payment_core.commands import PRICED_IN, Transceive, Verify
from payment_core.preparing import MAX_PROBLEM, MAX_PROBLEMS, Prepare, Prepared

BRIDGE_PROFILE: Final = "bridge"
ANSWER_SLACK_MS: Final = 5_000
"""What the way of a command and of its answer, and a start of the driver in between, add to what a device may take."""
RELAYING_DRIVERS: Final = frozenset({"nfc_reader", "pcsc_reader"})
"""Drivers over nfc_watch.py: they say to a card what the hub wants said."""


class Introductions:
    """Births and states of one bridge's devices and of itself."""

    def __init__(self, bus: BusClient, *, bridge: str, boot_id: str, profiles: Mapping[str, Profile]) -> None:
        self._bus: Final = bus
        self._bridge: Final = bridge
        self._boot_id: Final = boot_id
        self._profiles: Final = dict(profiles)
        self._identities: dict[str, tuple[str, str]] = {}
        self._logged: dict[str, tuple[str, str]] = {}

    def introduce(self, device: str, condition: Condition, *, errors: int = 0) -> None:
        """Tell birth and state of a device; serial and firmware stay known once it has said them."""
        profile = self._profiles.get(device)
        if condition.serial or device not in self._identities:
            self._identities[device] = (condition.serial, condition.firmware)
        serial, firmware = self._identities[device]
        birth = Birth(
            profile=profile.name if profile else BRIDGE_PROFILE,
            version=profile.version if profile else 1,
            boot_id=self._boot_id,
            bridge=self._bridge,
            serial=serial,
            firmware=firmware,
            capabilities=capabilities_of(profile) if profile else (),
            answer_ms=answer_ms_of(profile) if profile else 0,
        )
        self._bus.introduce(device, birth)
        state = DeviceState(
            state=condition.state, since_ms=utc_ms(), noise=condition.noise, reason=condition.reason, errors=errors
        )
        self._bus.tell_state(device, state)

    def log(self, device: str, condition: Condition) -> None:
        """Log how a device is when that changes, for whoever has no bus at hand."""
        known = self._logged.get(device)
        self._logged[device] = now = (condition.state, condition.reason)
        if now != known:
            log_line("device.state", device=device, state=condition.state, reason=condition.reason)


class DryRuns:
    """Answers `Prepare`: one at a time, in a thread of its own, so that the bridge's devices do not wait for it."""

    def __init__(self, bus: BusClient, profiles: Mapping[str, Profile], catalog: Mapping[str, Profile]) -> None:
        self._bus: Final = bus
        self._profiles: Final = sorted({profile.name for profile in profiles.values()})
        self._catalog: Final = catalog
        self._wanted: asyncio.Queue[Prepare] = asyncio.Queue(1)
        self._busy = False

    def ask(self, question: Prepare) -> None:
        """Take a question; it is refused while another is worked on."""
        if self._busy:
            self._bus.tell_prepared(Prepared(question.id, "refused"))
            return
        self._busy = True
        self._wanted.put_nowait(question)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            question = await self._wanted.get()
            answer = await asyncio.to_thread(prepared, question, self._profiles, self._catalog)
            self._bus.tell_prepared(answer)
            self._busy = False


def prepared(question: Prepare, own: list[str], catalog: Mapping[str, Profile]) -> Prepared:
    """Play the golden cases of pages of the catalog; `own`: those of the bridge's devices."""
    cases, problems = 0, []
    for name in question.profiles or own:
        if name not in catalog:
            problems.append(f"{name}: this release does not have it")
            continue
        verdicts = asyncio.run(check_profile(catalog[name]))
        cases += len(verdicts)
        problems += [f"{name}: {verdict.case}: {verdict.problem}" for verdict in verdicts if verdict.problem]
    first = tuple(problem[:MAX_PROBLEM] for problem in problems[:MAX_PROBLEMS])
    log_line("bridge.prepared", cases=cases, problems=len(problems))
    return Prepared(question.id, "failed" if problems else "done", cases=cases, problems=first)


def capabilities_of(profile: Profile) -> tuple[str, ...]:
    """Return the counted commands that a device understands, how it can be asked later what it gave, and `Transceive`.

    The latter where a reader says to a card what the hub wants said: the hub then asks cards for more than a message.
    `Verify`: it looks for a person when it is asked; `enroll:finger`, `enroll:face`: it can learn people.
    `unit:CNY`: in what a machine names its prices.
    """
    by_table = {"pulse": "PulseCredit", "hopper": "Dispense", "tickets": "Dispense", "vend": "ApproveVend"}
    counted = [command for table, command in by_table.items() if getattr(profile, table, None) is not None]
    if profile.kind == "dispenser" and profile.read_back == "counter":
        counted.append("read_back:hopper_status")
    if profile.vend is not None:
        counted.append("read_back:vend_result")
    if profile.driver in RELAYING_DRIVERS:
        counted.append(Transceive.__name__)
    if profile.biometric is not None:
        counted += [Verify.__name__, f"enroll:{profile.biometric.media}"]
    if profile.vend is not None:
        counted.append(PRICED_IN + profile.vend.unit)
    return tuple(counted)


def answer_ms_of(profile: Profile) -> int:
    """Return how long a hub has to wait for the end of a counted command; 0 where it knows that as well."""
    return profile.vend.result_s * 1_000 + ANSWER_SLACK_MS if profile.vend is not None else 0
