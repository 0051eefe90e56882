"""A desk with a fingerprint and a face module beside it: what the till tells them, and what they answer."""

from typing import Any

from edge_agent.desk import person_acts
from edge_agent.messages import Answered, Born, DeviceIs, Effect, Input, ListArrived, Send
from edge_agent.step.draft import Draft
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.commands import Command, CommandBody, Result, command_body
from payment_core.credential import CredentialClass, ListRow, Status
from payment_core.desk import EnrollPerson, ForgetPerson, Look, PersonRow, TakeConsent
from payment_core.events import CredentialPresented
from payment_core.identifiers import credential_id
from tests.support.desk import DeskHall, card_text
from tests.support.hall import PEPPER, account_of

FINGER, FACE = "finger-1", "face-1"
SERIALS = {FINGER: "VH000001", FACE: "FM000007"}
MEDIA = {FINGER: "finger", FACE: "face"}


class PersonHall(DeskHall):
    """Modules that do as they are told. `held`: what each holds: pages by serial number."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.serials, self.held = dict(SERIALS), {serial: set[int]() for serial in SERIALS.values()}
        super().__init__(*arguments, **options)
        self.step(*self.modules())

    def modules(self, *, online: bool = True) -> list[Input]:
        """Return how the modules introduce themselves."""
        state = DeviceState("online" if online else "offline", self.wall_ms)
        return [
            fact
            for device, serial in self.serials.items()
            for fact in (
                Born(device, Birth("r503", 1, "boot", "bridge-1", serial, "", (f"enroll:{MEDIA[device]}",))),
                DeviceIs(device, state),
            )
        ]

    def consent(self, card: str = "card-7", of: str = "finger", **more: Any) -> str:
        """Let a guest agree; return why not."""
        return self.act(TakeConsent(card_text(card), of, "v1", **({"of_age": True} | more))).reason  # type: ignore[arg-type]

    def ask_enroll(self, card: str = "card-7", device: str = FINGER, page: int | None = None) -> str:
        """Ask for an enrollment; return why not."""
        return self.act(EnrollPerson(card_text(card), device, page)).reason

    def enrolled(self, card: str = "card-7", device: str = FINGER, page: int | None = None) -> bytes:
        """Let a guest agree and be learned; return the new credential's id."""
        assert self.consent(card, MEDIA[device]) == ""
        assert self.ask_enroll(card, device, page) == ""
        self.serve(self.effects)
        return self.named(device, max(self.held[self.serials[device]]))

    def forget(self, card: str = "card-7") -> list[Effect]:
        """Let a guest take his consent back."""
        return self.step(self.acted(ForgetPerson(card_text(card), "asked for it")))

    def rows(self, card: str = "card-7") -> list[PersonRow]:
        """Return what the desk shows of a guest, without the modules."""
        said = self.act(Look("person", card_text(card))).people
        return [row for row in said if row.state != "module"]

    def states(self, card: str = "card-7") -> list[str]:
        """Return the states of a guest's templates."""
        return [row.state for row in self.rows(card) if row.state != "consent"]

    def listed(
        self, credential: bytes, card: str, status: Status, *, class_: CredentialClass = "B", life: int = 1
    ) -> ListArrived:
        """Return what the office's list says of a finger."""
        self.list_version += 1
        row = ListRow(credential, account_of(card), class_, status, self.list_version, life=life)
        return ListArrived(self.list_version, full=False, base_version=self.list_version - 1, rows=(row,))

    def named(self, device: str, page: int) -> bytes:
        """Return the credential id of a page."""
        return credential_id(pepper=PEPPER, kind=MEDIA[device], raw_id=bytes.fromhex(self.uid(device, page)))

    def uid(self, device: str, page: int) -> str:
        """Return what a module calls a page."""
        return (self.serials[device].encode() + page.to_bytes(2, "big")).hex().upper()

    def touch(self, page: int, lane: int = 1, device: str = FINGER) -> list[Effect]:
        """Show a finger or a face at a lane, as a module there says it."""
        shown = CredentialPresented(MEDIA[device], self.uid(device, page), "B")
        return self.wait(1_000, self.event(f"reader-{lane}", shown))

    def serve(self, effects: list[Effect], outcome: str = "done", reason: str = "") -> list[Effect]:
        """Let modules carry out what they are told, or answer otherwise; return what the till says to that."""
        answers = [
            Answered(device, self._answer(device, command, body, outcome, reason))
            for device, command, body in told(effects)
        ]
        return self.step(*answers) if answers else []

    def _answer(self, device: str, command: Command, body: CommandBody, outcome: str, reason: str) -> Result:
        if outcome != "done":
            return Result(command.id, outcome, reason=reason)  # type: ignore[arg-type]
        held = self.held[self.serials[device]]
        if type(body).__name__ == "Forget":
            held.discard(body.page)  # type: ignore[union-attr]
            return Result(command.id, "done")
        page = body.page  # type: ignore[union-attr]
        if MEDIA[device] == "face":
            page = next(number for number in range(1, 100) if number not in held)
        held.add(page)
        return Result(command.id, "done", answers=(str(page), self.uid(device, page)))


def told(effects: list[Effect]) -> list[tuple[str, Command, CommandBody]]:
    """Return what modules are told: device, command, body."""
    sent = [(effect.device, effect.command) for effect in effects if isinstance(effect, Send)]
    return [(device, command, command_body(command)) for device, command in sent if device in SERIALS]


class CarelessTill(Till):
    """Broken on purpose: it enrolls whoever is named, consent or not."""

    def _take(self, draft: Draft, fact: Input) -> None:
        kept = person_acts.standing_consent
        person_acts.standing_consent = lambda _draft, _account, _media: bytes(16)  # type: ignore[assignment]
        draft.store.execute("INSERT OR IGNORE INTO consents(consent_id, account_id, of, given_ms) "
                            "VALUES (zeroblob(16), x'00', 'finger', 0)")  # fmt: skip
        try:
            super()._take(draft, fact)
        finally:
            person_acts.standing_consent = kept


class TrustingTill(Till):
    """Broken on purpose: it takes a module's refusal to delete for a deletion."""

    def _answered(self, draft: Draft, fact: Answered) -> None:
        answered = Answered(fact.device, Result(fact.result.id, "done", answers=fact.result.answers))
        super()._answered(draft, answered)
