"""What staff do at a machine: put it back in service after a fault that it does not end by itself; read its meters."""

from typing import Final

from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import marks
from edge_agent.messages import Answered, Log, Send
from edge_agent.step.draft import Draft, Spot
from payment_core.commands import Accept, make_command
from payment_core.desk import BackInService, ReadMeter
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, MeterRead, Tender

BACK_TTL_MS: Final = 5_000
TOLD_KEPT: Final = 64
"""Devices told so whose answers are still looked for; an older one's is a line in the log."""


def put_back(draft: Draft, act: BackInService, staff: str) -> Moved | Refused:
    """Tell a lane's output that its fault was seen to. It is of no use to one that nobody can reach.

    What it says of itself afterwards decides whether anybody may pay there: this act alone opens nothing.
    """
    lane = draft.site.lanes.get(act.lane)
    if lane is None:
        return Refused("unknown_lane")
    birth = draft.site.births.get(lane.output)
    if birth is None or not draft.site.is_reachable(lane.output):
        return Refused("machine_off")
    name, told = uuid_text(draft.new_id()), draft.site.told_back
    told[name] = lane.output
    if len(told) > TOLD_KEPT:
        del told[next(iter(told))]
    command = make_command(Accept(on=True), command_id=name, seq=0, boot_id=birth.boot_id, ttl_ms=BACK_TTL_MS)
    draft.effect(Send(lane.output, command))
    draft.effect(Log("machine.back", {"staff": staff, "lane": lane.id, "device": lane.output, "note": act.note}))
    return Moved()


def read_meter(draft: Draft, act: ReadMeter, staff: str) -> Moved | Refused:
    """Write down what a machine's own counter says. One that stood higher before needs a word why.

    Answered is by how much it rose, 0 at the first reading and where it begins anew. It moves no money.
    """
    lanes = draft.site.lanes
    lane = next((lane for lane in lanes.values() if lane.machine == act.machine), lanes.get(act.machine))
    if lane is None:
        return Refused("unknown_lane")
    key = f"meter {lane.machine} {act.meter}"
    before = marks.read(draft.store, key)
    last = before if isinstance(before, int) else act.value
    if (act.reset or act.value < last) and not act.note.strip():
        return Refused("note_needed")
    header = draft.header(Spot(Actor.STAFF, Tender.NONE, lane))
    draft.journal(MeterRead(1, header, lane.machine, act.meter, act.value, staff, act.note, act.reset))
    marks.write_number(draft.store, key, act.value)
    return Moved(0 if act.reset else max(act.value - last, 0))


def has_answered(draft: Draft, fact: Answered) -> bool:
    """Take a device's word on that; False: it is about something else."""
    if draft.site.told_back.get(fact.result.id) != fact.device:
        return False
    del draft.site.told_back[fact.result.id]
    if fact.result.outcome != "done":
        why = fact.result.reason or fact.result.outcome
        draft.effect(Log("machine.not_back", {"device": fact.device, "why": why, "alarm": 1}))
    return True
