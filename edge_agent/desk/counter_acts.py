"""Acts of staff at a counter, as the till takes them: who may, how often, once each; then what they move."""

from typing import Final, assert_never

import msgspec

from edge_agent.desk import card_acts, looks, machine_acts, money_acts, person_acts, play_acts
from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import requests, staff_use
from edge_agent.ledger.requests import Request
from edge_agent.messages import Log
from edge_agent.staff_messages import PinRefused, Reply, StaffActed, StaffFact, StaffKnown, StaffLocked
from edge_agent.step.draft import Draft
from payment_core.desk import (
    ACT_NAMES,
    BackInService,
    BlockCard,
    Cancel,
    ClaimCredit,
    CountBox,
    DeskReply,
    EnrollPerson,
    ForgetPerson,
    Look,
    PayOut,
    ReadMeter,
    Refund,
    ReplaceCard,
    SellCard,
    SettleDoubt,
    TakeConsent,
    TakeWon,
    TopUp,
    TryMachine,
)
from payment_core.identifiers import uuid_text

_WHILE_FROZEN = Look | BlockCard | SettleDoubt | Cancel | ForgetPerson
"""Acts that bring nothing new: a frozen hub ends what is under way, and can close only then."""
PINS_ALLOWED: Final = 5
"""Wrong PINs in a row before nobody may try for a while."""
LOCK_MS: Final = 60_000
"""The first lock; each wrong PIN behind it doubles it, up to `LOCK_LIMIT_MS`."""
LOCK_LIMIT_MS: Final = 12 * 3_600_000


def take(draft: Draft, fact: StaffFact) -> None:
    """Take one fact of a desk and answer it."""
    match fact:
        case StaffActed():
            _acted(draft, fact)
        case PinRefused():
            _pin_refused(draft, fact)
        case _:
            assert_never(fact)


def pass_time(draft: Draft) -> None:
    """Tell the desks who the staff are, at the start and when the document changes."""
    if draft.site.staff_told is not draft.site.staff:
        draft.site.staff_told = draft.site.staff
        draft.effect(StaffKnown(draft.site.staff, staff_use.locks(draft.store)))


def _acted(draft: Draft, fact: StaffActed) -> None:
    content = msgspec.msgpack.encode((fact.staff, fact.act))
    known = requests.find(draft.store, fact.request_id)
    if known is not None:
        _answer_again(draft, fact, known, content)
        return
    if fact.by_pin:
        staff_use.set_pin_faults(draft.store, fact.staff, fact.terminal, staff_use.PinFaults())
    wanted = play_acts.wanted(draft, fact.act)
    refused = _may_not(draft, fact, wanted)
    done = refused if refused is not None else _carry_out(draft, fact)
    reply = _reply(draft, fact, done)
    if isinstance(done, Moved) and not isinstance(fact.act, Look):
        requests.keep(draft.store, fact.request_id, Request(content, msgspec.msgpack.encode(reply)), seq=draft.seq)
        act = ACT_NAMES[type(fact.act)]
        staff_use.note(draft.store, fact.staff, act, wanted, day=draft.day)
        draft.effect(Log("staff.acted", {"staff": fact.staff, "act": act, "amount": done.amount, "unit": done.unit}))
    elif isinstance(done, Refused):
        draft.effect(Log("staff.refused", {"staff": fact.staff, "why": done.reason}))
    draft.effect(Reply(fact.terminal, reply))


def _reply(draft: Draft, fact: StaffActed, done: Moved | Refused) -> DeskReply:
    request_id = uuid_text(fact.request_id)
    if isinstance(done, Refused):
        return DeskReply(request_id, "refused", done.reason)
    drawer = next((desk.drawer for desk in draft.site.staff.desks if desk.terminal == fact.terminal), "")
    return DeskReply(
        request_id, "done", "", done.amount, done.unit, open=done.open, late=done.late, sums=done.sums,
        people=done.people, drawer=drawer, consent_text=done.consent_text,
    )  # fmt: skip


def _answer_again(draft: Draft, fact: StaffActed, known: Request, content: bytes) -> None:
    if known.content == content:
        first = msgspec.msgpack.decode(known.answer, type=DeskReply)
        draft.effect(Reply(fact.terminal, msgspec.structs.replace(first, outcome="again")))
        return
    draft.effect(Log("staff.other_content", {"staff": fact.staff, "id": uuid_text(fact.request_id), "alarm": 1}))
    draft.effect(Reply(fact.terminal, DeskReply(uuid_text(fact.request_id), "refused", "other_content")))


def _may_not(draft: Draft, fact: StaffActed, wanted: int) -> Refused | None:
    """Say why somebody may not do this: unknown, not in his role, above his quota, or the hub may not trade."""
    person = draft.site.staff.person(fact.staff)
    if person is None:
        return Refused("unknown_staff")
    act = ACT_NAMES[type(fact.act)]
    quota = draft.site.staff.quota(person, act)
    if quota is None:
        return Refused("not_allowed")
    if draft.site.frozen and not isinstance(fact.act, _WHILE_FROZEN):
        return Refused("frozen")
    used = staff_use.used(draft.store, fact.staff, act, day=draft.day)
    if quota.count is not None and used.count >= quota.count:
        return Refused("quota")
    if quota.amount is not None and used.amount + wanted > quota.amount:
        return Refused("quota")
    return None


def _carry_out(draft: Draft, fact: StaffActed) -> Moved | Refused:  # noqa: PLR0911 - one kind of act each
    try:
        match fact.act:
            case SettleDoubt() | Refund() | Cancel() | TryMachine():
                return play_acts.carry_out(draft, fact.act, fact)
            case TopUp() | TakeWon() | ClaimCredit() | PayOut() | CountBox():
                return money_acts.carry_out(draft, fact.act, fact)
            case SellCard() | ReplaceCard() | BlockCard():
                return card_acts.carry_out(draft, fact.act, fact.staff)
            case TakeConsent() | EnrollPerson() | ForgetPerson():
                return person_acts.carry_out(draft, fact.act, fact.staff)
            case BackInService():
                return machine_acts.put_back(draft, fact.act, fact.staff)
            case ReadMeter():
                return machine_acts.read_meter(draft, fact.act, fact.staff)
            case Look():
                return looks.look(draft, fact.act)
            case _:
                assert_never(fact.act)
    except ValueError:  # an id that is none; msgspec has looked at what came over the bus
        return Refused("malformed")


def _pin_refused(draft: Draft, fact: PinRefused) -> None:
    """Count a wrong PIN; from the fifth in a row on nobody may try for a while, each time longer."""
    if draft.site.staff.person(fact.staff) is None:
        return
    before = staff_use.pin_faults(draft.store, fact.staff, fact.terminal)
    count = before.count + 1
    until_ms = 0
    if count >= PINS_ALLOWED:
        until_ms = draft.now.wall_ms + min(LOCK_MS << min(count - PINS_ALLOWED, 10), LOCK_LIMIT_MS)
        draft.effect(Log("staff.locked", {"staff": fact.staff, "wrong_pins": count, "alarm": 1}))
    staff_use.set_pin_faults(draft.store, fact.staff, fact.terminal, staff_use.PinFaults(count, until_ms))
    draft.effect(StaffLocked(fact.staff, staff_use.locks(draft.store)[fact.staff]))
