"""Fingers and faces at a counter: agreed to first, then learned by a module, and deleted when the guest says so.

An account is opened by a card or a code always; what is learned here comes beside it and is never the only way in.
"""

from typing import Final, assert_never

from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import office_facts, templates
from edge_agent.ledger.templates import NO_PAGE, Template
from edge_agent.messages import Send
from edge_agent.step.draft import Draft, Spot
from edge_agent.tap.blocks import NOBODY, block, known_row, matched_ones
from payment_core.commands import Enroll, make_command
from payment_core.credential import ListRow
from payment_core.desk import OWN_TEXT, EnrollPerson, ForgetPerson, PersonRow, TakeConsent
from payment_core.identifiers import credential_id, uuid_text
from payment_core.journal import Actor, ConsentGiven, ConsentWithdrawn, Tender

CONSENT_LIFE_MS: Final = 3_600_000
"""A guest is asked right before he is enrolled: a consent of this morning is asked for again."""
ENROLL_TTL_MS: Final = 10_000
LEARNS: Final = "enroll:"
"""What a module's birth says it can learn stands behind this: `enroll:finger`."""
PAGE_BYTES: Final = 2
PAGES_TRIED: Final = 2_000
"""As many as the largest module has."""


def carry_out(draft: Draft, act: TakeConsent | EnrollPerson | ForgetPerson, staff: str) -> Moved | Refused:
    """Do what is asked for the owner of a card."""
    row = known_row(draft, bytes.fromhex(act.credential))
    if row is None or row.account_id == NOBODY:
        return Refused("unknown_card")
    match act:
        case ForgetPerson():
            return _forget(draft, act, row, staff)
        case _ if row.status != "active":
            return Refused("card_blocked")
        case TakeConsent():
            return _consent(draft, act, row, staff)
        case EnrollPerson():
            return _enroll(draft, act, row, staff)
        case _:
            assert_never(act)


def learns(draft: Draft, device: str) -> str:
    """Return what a module can learn, `finger` or `face`; empty: it is none, or has not introduced itself."""
    birth = draft.site.births.get(device)
    said = birth.capabilities if birth else ()
    return next((one.removeprefix(LEARNS) for one in said if one.startswith(LEARNS)), "")


def _consent(draft: Draft, act: TakeConsent, row: ListRow, staff: str) -> Moved | Refused:
    """Write down that the guest agreed, or who agreed for him: to the text that counts now."""
    text = draft.site.staff.consent_text
    if act.text != (text.version if text else OWN_TEXT):
        return Refused("text_changed")
    is_child = row.age_band == "minor" or (row.age_band == "unknown" and not act.of_age)
    if bool(act.guardian) != bool(act.relation) or (is_child and not act.guardian):
        return Refused("guardian_needed")
    consent_id = draft.new_id()
    header, card_id = draft.header(Spot(Actor.STAFF, Tender.NONE)), row.credential_id
    draft.journal(ConsentGiven(
        1, header, consent_id, row.account_id, card_id, act.of, act.text, staff, act.guardian, act.relation
    ))  # fmt: skip
    templates.give_consent(draft.store, consent_id, row.account_id, act.of, given_ms=draft.now.wall_ms)
    return Moved()


def _enroll(draft: Draft, act: EnrollPerson, row: ListRow, staff: str) -> Moved | Refused:  # noqa: PLR0911 - one each
    """Tell a module to learn the guest; what comes of it is in the list of `look`."""
    media, birth = learns(draft, act.device), draft.site.births.get(act.device)
    if birth is None or not media:
        return Refused("no_module")
    if not draft.site.ready(act.device) or not birth.serial:
        return Refused("module_off")
    if is_only_way(draft, act.device):
        return Refused("no_alternative")
    consent_id = standing_consent(draft, row.account_id, media)
    if consent_id is None:
        return Refused("no_consent")
    page = _page(draft, act, birth.serial) if media == "finger" else NO_PAGE
    if page is None:
        return Refused("page_taken")
    if page == NO_PAGE and page in templates.pages_taken(draft.store, act.device):
        return Refused("module_busy")  # a module that numbers people itself has one of them before it at a time
    template_id = draft.new_id()
    templates.write(draft.store, Template(
        template_id, row.account_id, consent_id, row.credential_id, media, act.device, birth.serial, page, b"", 0,
        staff, "enrolling", "", draft.now.wall_ms,
    ))  # fmt: skip
    body = Enroll(max(page, 0), uuid_text(consent_id))
    command = make_command(
        body, command_id=uuid_text(template_id), seq=0, boot_id=birth.boot_id, ttl_ms=ENROLL_TTL_MS
    )
    draft.effect(Send(act.device, command))
    return Moved()


def _page(draft: Draft, act: EnrollPerson, serial: str) -> int | None:
    """Return the page that was asked for, or the first, where nobody is and nobody may be by the list; else None."""
    taken = templates.pages_taken(draft.store, act.device)
    asked = range(PAGES_TRIED) if act.page is None else (act.page,)
    free = (page for page in asked if page not in taken and next_life(draft, named(draft, "finger", serial, page)))
    return next(free, None)


def named(draft: Draft, media: str, serial: str, page: int) -> bytes:
    """Return the credential id of a page of the module with this serial number."""
    raw_id = serial.encode() + page.to_bytes(PAGE_BYTES, "big")
    return credential_id(pepper=draft.site.pepper, kind=media, raw_id=raw_id)


def next_life(draft: Draft, credential: bytes) -> int:
    """Return the life of a credential that is to be somebody's; 0: it is somebody's, or nobody can be sure yet.

    A page is a place in a module: it may be another person's once the module has proven that it is empty, and the
    office's list says that it is out of use. Before that the list would give the newcomer the former one's account.
    """
    listed, last = office_facts.list_row(draft.store, credential), templates.last_life(draft.store, credential)
    if last is None:
        return 1 if known_row(draft, credential) is None else 0
    return max(last.life, listed.life) + 1 if listed is not None and listed.status != "active" else 0


def standing_consent(draft: Draft, account_id: bytes, media: str) -> bytes | None:
    """Return the consent under which somebody may be enrolled now, or None."""
    return templates.consent(draft.store, account_id, media, since_ms=draft.now.wall_ms - CONSENT_LIFE_MS)


def is_only_way(draft: Draft, device: str) -> bool:
    """Say whether there is a lane where nothing but this module could be shown: it has to take a card or a code too."""
    lanes = draft.site.lanes.values()
    return any(lane.reader == device and lane.scanner in ("", device) for lane in lanes)


def _forget(draft: Draft, act: ForgetPerson, row: ListRow, staff: str) -> Moved | Refused:
    """Take every finger and face of the guest out of use here and at the neighbours; modules are told behind the step.

    The office hears of it too, and finds what this hub does not know.
    """
    if not act.note.strip():
        return Refused("note_needed")
    header = draft.header(Spot(Actor.STAFF, Tender.NONE))
    draft.journal(ConsentWithdrawn(1, header, row.account_id, staff, act.note))
    templates.withdraw(draft.store, row.account_id)
    for known in matched_ones(draft, row.account_id):
        block(draft, credential_id=known.credential_id, status="blocked", staff=staff, note=act.note)
    return Moved()


def look(draft: Draft, credential: str) -> Moved | Refused:
    """Return what is known of a guest's fingers and faces here, and which modules can learn one."""
    row = known_row(draft, bytes.fromhex(credential)) if credential else None
    if row is None or row.account_id == NOBODY:
        return Refused("unknown_card")
    rows = [PersonRow(of, "consent") for of in templates.standing(draft.store, row.account_id)]
    rows += [
        PersonRow(one.media, one.state, one.device, max(one.page, 0), one.reason)
        for one in templates.of_account(draft.store, row.account_id)
    ]
    modules = ((device, learns(draft, device)) for device in sorted(draft.site.births))
    rows += [PersonRow(media, "module", device) for device, media in modules if media and draft.site.ready(device)]
    return Moved(people=tuple(rows), consent_text=draft.site.staff.consent_text)
