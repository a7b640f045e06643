"""One look of the scheduler, as a pure function of a snapshot.

The simple algorithm that this equals: order everything that waits, then walk along the order once and admit each task
that some node still has room for, counting what was admitted before it. The numbered steps are in `plan`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.ports import Policy, PolicyContext
from nodewise.scheduler.orders import merged, ordered, turns
from nodewise.scheduler.planned import Ahead, look_ahead, split, staged
from nodewise.scheduler.quotas import TeamRoom, without
from nodewise.scheduler.snapshot import (
    Admission,
    AdmittedTask,
    LastPlan,
    Plan,
    Planning,
    Queued,
    Snapshot,
)
from nodewise.scheduler.waits import Waits
from nodewise.scheduler.walk import QUEUED, Walk

__all__ = [
    "QUEUED",
    "Admission",
    "AdmittedTask",
    "LastPlan",
    "Plan",
    "Planning",
    "Queued",
    "Snapshot",
    "merged",
    "plan",
]

REFRESHED_TEXTS: Final = 200
"""So many tasks at the head of the queue get a new sentence when only its figures changed; the others keep theirs
until their code changes. It bounds what a cycle writes while thousands wait."""

_KEPT_DURING_BACKOFF: Final = frozenset(
    {
        ReasonCode.RETRY_BACKOFF,
        ReasonCode.UNKNOWN_STRATEGY,
        ReasonCode.STRATEGY_RULE,
    }
)


def plan(
    snapshot: Snapshot,
    policies: Mapping[str, Policy],
    context: PolicyContext,
    *,
    max_admitted: int,
    ageing: timedelta = timedelta(hours=1),
    planning: Planning | None = None,
) -> Plan:
    """Decide who may be placed now and why the others wait. Near-linear in the queue, plus what planning costs.

    Args:
        snapshot: What waits, what is admitted, what runs, the cluster.
        policies: All installed policies by name; each run names its own.
        context: Time, chance, and what is believed, handed to the policies and planners.
        max_admitted: How many tasks may be ADMITTED at a time, those of earlier cycles included.
        ageing: Who has waited longer goes before everybody else, whatever the policies say.
        planning: How runs whose strategy is a planner are planned; None: their tasks are admitted one by one, too.
    """
    # 1. Who is in back-off rests; whose team holds all that it may, is held.
    reasons = _resting(snapshot.queue, context.now)
    teams = _team_room(snapshot, context)
    held = _held(snapshot.queue, teams, reasons)
    reasons |= held
    awake = [queued.task for queued in snapshot.queue if queued.task.ref not in reasons]
    # 2. Each policy orders its own tasks; one that is unknown or fails holds up only these.
    orders, unordered = ordered(awake, policies, context)
    reasons.update(unordered)
    # 3. What is left of the runs that are planned is planned again.
    runs = without(snapshot.runs, held)
    planned, others = split(orders, runs, planning)
    stages = staged(runs, planned, policies, unordered=unordered.keys(), now=context.now, ageing=ageing)
    ahead = (
        Ahead() if planning is None else look_ahead(replace(snapshot, runs=runs), stages, context, planning)
    )
    # 4. What was admitted earlier takes its room first; then walk along the merged order and admit what fits.
    explains = planning is None or planning.explains
    walk = Walk(snapshot, context, teams, max_admitted=max_admitted, explains=explains)
    by_ref = {task.ref: task for order in planned.values() for task in order}
    due = [by_ref.pop(ref) for ref in ahead.due if ref in by_ref]
    later = {ref: ahead.tasks[ref].node for ref in by_ref if ref in ahead.tasks}
    in_turn = [*others, due, [by_ref[ref] for ref in later]]
    refused: dict[TaskRef, Reason] = {}
    for turn in turns(in_turn, ahead.due, later, now=context.now, ageing=ageing):
        found = walk.offer(turn)
        if found is not None:
            refused[turn.task.ref] = found
    # 5. Say of the others why they wait, as far as it changed.
    reasons |= refused
    if explains:
        left = [*(task for task in due if task.ref in refused), *by_ref.values()]
        reasons |= Waits(snapshot, ahead, walk.room, context).reasons(left, refused)
    return Plan(
        admitted=tuple(walk.admitted),
        reasons=_changed(snapshot.queue, reasons),
        waiting=Counter(reason.code for reason in reasons.values()),
        expected=ahead.tasks,
        memory=ahead.last,
    )


def _resting(queue: Sequence[Queued], now: datetime) -> dict[TaskRef, Reason]:
    return {
        queued.task.ref: _backoff(queued.reason, queued.not_before)
        for queued in queue
        if queued.not_before is not None and queued.not_before > now
    }


def _team_room(snapshot: Snapshot, context: PolicyContext) -> TeamRoom:
    """What teams may still take, after what is on its way to a node."""
    room = TeamRoom(context.quotas, context.booked)
    for earlier in snapshot.admitted if context.quotas else ():
        room.take(earlier.team, effective_resources(earlier.spec))
    return room


def _held(
    queue: Sequence[Queued], teams: TeamRoom, resting: Mapping[TaskRef, Reason]
) -> dict[TaskRef, Reason]:
    """Whom the quota of the team holds up, whatever becomes of the others in this look."""
    found: dict[TaskRef, Reason] = {}
    for queued in queue if teams.bounded else ():
        task = queued.task
        if task.ref not in resting:
            reason = teams.refused(task.team, effective_resources(task.spec))
            if reason is not None:
                found[task.ref] = reason
    return found


def _backoff(shown: Reason | None, until: datetime) -> Reason:
    if shown is not None and shown.code in _KEPT_DURING_BACKOFF:
        return shown
    because = f" ({shown.text})" if shown is not None and shown.text else ""
    return Reason(
        code=ReasonCode.RETRY_BACKOFF, text=f"is tried again at {until:%Y-%m-%d %H:%M:%S} UTC{because}"
    )


def _changed(queue: Sequence[Queued], reasons: Mapping[TaskRef, Reason]) -> dict[TaskRef, Reason]:
    changed, refreshed = {}, 0
    shown = {queued.task.ref: queued.reason for queued in queue}
    for ref, reason in reasons.items():
        before = shown.get(ref)
        if before == reason:
            continue
        if before is not None and before.code == reason.code:
            refreshed += 1
            if refreshed > REFRESHED_TEXTS:
                continue
        changed[ref] = reason
    return changed
