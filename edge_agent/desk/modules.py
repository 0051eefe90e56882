"""What modules answer about fingers and faces, and what they still owe: a deletion is asked for until it is proven.

    enrolling --done--> enrolled --blocked--> forgetting --read back--> deleted
    enrolling --failed, refused--> failed
    enrolling --silence, or nobody's page--> forgetting --read back--> failed

Silence of a module that had not said the page: it is asked which ones it holds, and forgets the one that is nobody's.

A template whose credential is out of use, for whatever reason and on whoever's word, is deleted: what cannot be used
has no ground to be kept. So the office's list and the neighbours' blocks are all that a withdrawal needs, and a hub
that was away hears of it like of any block.
"""

from typing import Final

import msgspec

from edge_agent.desk.person_acts import ENROLL_TTL_MS, PAGE_BYTES, PAGES_TRIED, named, next_life
from edge_agent.ledger import cache, templates
from edge_agent.ledger.templates import NO_PAGE, Template
from edge_agent.messages import Answered, Log, Send
from edge_agent.step.draft import Draft, Spot
from edge_agent.tap.blocks import known_row
from payment_core.commands import Forget, Pages, Result, make_command
from payment_core.credential import ListRow
from payment_core.identifiers import credential_id, uuid_bytes, uuid_text
from payment_core.journal import Actor, CredentialBlocked, TemplateDeleted, TemplateEnrolled, Tender

ENROLL_MS: Final = ENROLL_TTL_MS + 35_000
"""How long a module may take to learn somebody (the slowest driver gives up after 30 s) before its silence counts."""
AGAIN_MS: Final = 30_000
"""How long after an unanswered or refused `Forget` the module is asked again."""
FORGET_TTL_MS: Final = 10_000
LAST_PAGE: Final = 0xFFFF
_LONGEST_NUMBER: Final = 5
_LONGEST_SERIAL: Final = 64
_LONGEST_REASON: Final = 32


class Modules:
    """Who owes an answer, and when to ask again (boottime ms). Volatile: the ledger has the rows themselves."""

    def __init__(self) -> None:
        self._due: dict[bytes, int] | None = None
        self._asked: dict[str, bytes] = {}
        self._look = True

    def look_again(self) -> None:
        """The office's list has changed, or staff have done something: look at the rows behind this step."""
        self._look = True

    def has_answered(self, draft: Draft, fact: Answered) -> bool:
        """Take a module's answer; False: it is not about a finger or a face."""
        asked = self._asked.pop(fact.result.id, None)
        if asked is None and self._due is not None and not self._due:
            return False  # nobody is being learned: machines' answers look nothing up here
        found = templates.template(draft.store, asked) if asked else _enrolling(draft, fact.result.id)
        if found is None or found.device != fact.device:
            return False
        if asked is None:
            self._heard_enroll(draft, found, fact.result)
        elif found.state == "forgetting":
            self._heard_forget(draft, found, fact.result)
        return True

    def pass_time(self, draft: Draft) -> None:
        """Behind all inputs of a step. Nearly always there is nothing to look at."""
        if draft.site.closed:
            return
        now_ms = draft.now.boottime_ms
        if self._due is None:
            self._due = {one.template_id: now_ms for one in templates.in_state(draft.store, "forgetting")}
        if self._look or any(isinstance(entry, CredentialBlocked) for entry in draft.watched):
            self._look = False
            for one in templates.in_state(draft.store, "enrolling"):
                self._due.setdefault(one.template_id, now_ms + ENROLL_MS)
            self._end_what_is_out_of_use(draft)
        for template_id in [one for one, at_ms in self._due.items() if at_ms <= now_ms]:
            self._go_on(draft, template_id)

    def _go_on(self, draft: Draft, template_id: bytes) -> None:
        assert self._due is not None
        found = templates.template(draft.store, template_id)
        if found is None or found.state not in ("enrolling", "forgetting"):
            del self._due[template_id]
        elif found.state == "enrolling":
            self._no_answer(draft, found)
            self._go_on(draft, template_id)
        else:
            self._due[template_id] = draft.now.boottime_ms + AGAIN_MS
            self._ask(draft, found)

    def _end_what_is_out_of_use(self, draft: Draft) -> None:
        """Let modules forget whose credential is out of use; a list from before an enrollment says nothing of it."""
        for one in templates.in_state(draft.store, "enrolled"):
            row = known_row(draft, one.credential_id)
            if row is None or row.life < one.life:
                continue
            if row.status != "active" or row.account_id != one.account_id:
                templates.withdraw(draft.store, one.account_id)
                self._forget(draft, one, "")

    def _forget(self, draft: Draft, one: Template, reason: str) -> None:
        """From now on the module is asked to delete the page."""
        _move(draft, one, "forgetting", reason)
        if self._due is not None:
            self._due[one.template_id] = draft.now.boottime_ms

    def _ask(self, draft: Draft, one: Template) -> None:
        """Send `Forget` to the very module that holds the page; another one in its place is not asked.

        Where the module has not said the page, it is asked first which ones it holds.
        """
        birth = draft.site.births.get(one.device)
        if birth is None or birth.serial != one.serial or not draft.site.ready(one.device):
            return
        name = uuid_text(draft.new_id())
        self._asked = {asked: known for asked, known in self._asked.items() if known != one.template_id}
        self._asked[name] = one.template_id
        body = Pages() if one.page == NO_PAGE else Forget(one.page)
        command = make_command(
            body, command_id=name, seq=0, boot_id=birth.boot_id, ttl_ms=FORGET_TTL_MS
        )
        draft.effect(Send(one.device, command))

    # ------------------------------------------------------------------------------------------------------- answers
    def _heard_forget(self, draft: Draft, one: Template, result: Result) -> None:
        birth = draft.site.births.get(one.device)
        if result.outcome != "done" or birth is None or birth.serial != one.serial:
            reason = (result.reason or result.outcome)[:_LONGEST_REASON]
            draft.effect(Log("template.not_deleted", {"device": one.device, "why": reason, "alarm": 1}))
            templates.write(draft.store, msgspec.structs.replace(one, reason=reason))
            return
        if one.page == NO_PAGE:
            self._heard_pages(draft, one, result)
            return
        if not one.life:  # nobody was ever let in with it
            _move(draft, one, "failed", one.reason)
            return
        header = draft.header(Spot(Actor.DEVICE, Tender.NONE))
        draft.journal(TemplateDeleted(
            1, header, one.consent_id, one.credential_id, one.account_id, one.device, one.page, one.life
        ))  # fmt: skip
        _move(draft, one, "deleted", "")

    def _no_answer(self, draft: Draft, one: Template) -> None:
        """Nobody says whether the module learned somebody: what it may have learned is deleted."""
        self._forget(draft, one, "no_answer")

    def _heard_pages(self, draft: Draft, one: Template, result: Result) -> None:
        """Forget the one page that is nobody's: the module learned somebody and its answer was lost."""
        taken = templates.pages_taken(draft.store, one.device)
        pages = {page for page in map(_page_number, result.answers[:PAGES_TRIED]) if page is not None} - taken
        nobodys = [page for page in pages if known_row(draft, named(draft, one.media, one.serial, page)) is None]
        if len(nobodys) == 1:
            self._forget(draft, msgspec.structs.replace(one, page=nobodys[0]), "no_answer")
            return
        if nobodys:
            draft.effect(Log("template.unaccounted", {"device": one.device, "alarm": 1}))
        _move(draft, one, "failed", "unaccounted" if nobodys else "no_answer")

    def _heard_enroll(self, draft: Draft, one: Template, result: Result) -> None:
        if result.outcome == "unknown":
            self._no_answer(draft, one)
            return
        if result.outcome != "done":
            _move(draft, one, "failed", (result.reason or result.outcome)[:_LONGEST_REASON])
            return
        place = _place(result.answers)
        if place is None:
            self._no_answer(draft, one)
            return
        serial, page, raw_id = place
        taken = one.page not in (NO_PAGE, page) or one.serial != serial
        one = msgspec.structs.replace(one, serial=serial, page=page)
        card = known_row(draft, one.card_id)
        credential = credential_id(pepper=draft.site.pepper, kind=one.media, raw_id=raw_id)
        life = next_life(draft, credential)
        if taken:
            self._forget(draft, one, "module_exchanged")
        elif templates.is_withdrawn(draft.store, one.consent_id):
            self._forget(draft, one, "no_consent")
        elif card is None or card.status != "active" or card.account_id != one.account_id:
            self._forget(draft, one, "card_blocked")
        elif not life:
            self._forget(draft, one, "page_taken")
        else:
            _let_in(draft, msgspec.structs.replace(one, credential_id=credential, life=life), card)


def _let_in(draft: Draft, one: Template, card: ListRow) -> None:
    """From now on the finger or face opens the account, with the limits of the card beside which it was learned."""
    header = draft.header(Spot(Actor.STAFF, Tender.NONE))
    draft.journal(TemplateEnrolled(
        1, header, one.consent_id, one.credential_id, one.account_id, one.card_id, one.media, one.device, one.page,
        one.life, one.staff,
    ))  # fmt: skip
    row = msgspec.structs.replace(
        card, credential_id=one.credential_id, class_="B", status="active", version=0, token_key=b"", life=one.life
    )
    if one.life == 1:  # else the list speaks of this credential, and will say whose it is now
        cache.keep(draft.store, row, seq=header.seq)
    _move(draft, one, "enrolled", "")


def _enrolling(draft: Draft, name: str) -> Template | None:
    try:
        found = templates.template(draft.store, uuid_bytes(name))
    except ValueError:
        return None
    return found if found is not None and found.state == "enrolling" else None


def _place(answers: tuple[str, ...]) -> tuple[str, int, bytes] | None:
    """Return serial number, page and uid out of the answer to `Enroll`, or None where they do not agree."""
    try:
        page, raw_id = _page_number(answers[0]), bytes.fromhex(answers[1])
        serial = raw_id[:-PAGE_BYTES].decode("ascii")
    except (ValueError, IndexError):
        return None
    if page is None:
        return None
    fits = 0 < len(serial) <= _LONGEST_SERIAL and raw_id[-PAGE_BYTES:] == page.to_bytes(PAGE_BYTES, "big")
    return (serial, page, raw_id) if fits else None


def _page_number(text: str) -> int | None:
    """Return the page that a module names, or None where that is none."""
    page = int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else -1
    return page if 0 <= page <= LAST_PAGE else None


def _move(draft: Draft, one: Template, state: templates.TemplateState, reason: str) -> None:
    moved = msgspec.structs.replace(one, state=state, reason=reason, since_ms=draft.now.wall_ms)
    templates.write(draft.store, moved)
    draft.effect(Log(f"template.{state}", {"device": one.device, "media": one.media, "why": reason}))
