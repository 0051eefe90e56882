"""A machine put back in service: somebody saw to a fault that it does not end by itself, and lets it give again."""

from typing import Final

from edge_agent.desk.acts import Moved, Refused
from edge_agent.messages import Answered, Log, Send
from edge_agent.step.draft import Draft
from payment_core.commands import Accept, make_command
from payment_core.desk import BackInService
from payment_core.identifiers import uuid_text

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


def has_answered(draft: Draft, fact: Answered) -> bool:
    """Take a device's word on that; False: it is about something else."""
    if draft.site.told_back.get(fact.result.id) != fact.device:
        return False
    del draft.site.told_back[fact.result.id]
    if fact.result.outcome != "done":
        why = fact.result.reason or fact.result.outcome
        draft.effect(Log("machine.not_back", {"device": fact.device, "why": why, "alarm": 1}))
    return True
