"""One look of the scheduler, as a pure function of a snapshot.

The simple algorithm that this equals: order everything that waits, then walk along the order once and admit each task
that some node still has room for, counting what was admitted before it. The numbered steps are in `plan`.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Policy, PolicyContext
from nodewise.scheduler.room import Room
from nodewise.scheduler.snapshot import Admission, AdmittedTask, Plan, Queued, Snapshot

__all__ = ["Admission", "AdmittedTask", "Plan", "Queued", "Snapshot", "merged", "plan"]

REFRESHED_TEXTS: Final = 200
"""So many tasks at the head of the queue get a new sentence when only its figures changed; the others keep theirs
until their code changes. It bounds what a cycle writes while thousands wait."""

QUEUED: Final = Reason(
    code=ReasonCode.QUEUED,
    text="a node has room for it, but enough tasks before it are on their way to a node",
)

_KEPT_DURING_BACKOFF: Final = frozenset(
    {
        ReasonCode.RETRY_BACKOFF,
        ReasonCode.UNKNOWN_STRATEGY,
        ReasonCode.STRATEGY_RULE,
    }
)


def plan(
    snapshot: Snapshot, policies: Mapping[str, Policy], context: PolicyContext, *, max_admitted: int
) -> Plan:
    """Decide who may be placed now and why the others wait. Near-linear in the queue.

    Args:
        snapshot: What waits, what is admitted, the cluster.
        policies: All installed policies by name; each run names its own.
        context: Time and chance, handed to the policies.
        max_admitted: How many tasks may be ADMITTED at a time, those of earlier cycles included.
    """
    # 1. Who is in back-off rests.
    reasons = _resting(snapshot.queue, context.now)
    awake = [queued.task for queued in snapshot.queue if queued.task.ref not in reasons]
    # 2. Each policy orders its own tasks; one that is unknown or fails holds up only these.
    orders, unordered = _orders(awake, policies, context)
    reasons.update(unordered)
    # 3. What was admitted earlier takes its room first.
    room = Room(snapshot.cluster)
    for earlier in snapshot.admitted:
        room.take(earlier.spec, earlier.allowed_nodes)
    # 4. Walk along the merged order and admit what fits.
    admitted: list[Admission] = []
    for task in merged(orders):
        is_open = len(snapshot.admitted) + len(admitted) < max_admitted
        refused = room.take(task.spec) if is_open else room.refused(task.spec) or QUEUED
        if refused is None:
            admitted.append(Admission(ref=task.ref))
        else:
            reasons[task.ref] = refused
    # 5. Say what changed.
    waiting = Counter(reason.code for reason in reasons.values())
    return Plan(admitted=tuple(admitted), reasons=_changed(snapshot.queue, reasons), waiting=waiting)


def merged(orders: Sequence[Sequence[WaitingTask]]) -> Iterator[WaitingTask]:
    """One order from several, each kept as it is: the order whose head was submitted first goes next."""
    heap = [(order[0].submitted_at, number, 0) for number, order in enumerate(orders) if order]
    heapq.heapify(heap)
    while heap:
        _, number, index = heapq.heappop(heap)
        order = orders[number]
        yield order[index]
        if index + 1 < len(order):
            heapq.heappush(heap, (order[index + 1].submitted_at, number, index + 1))


def _resting(queue: Sequence[Queued], now: datetime) -> dict[TaskRef, Reason]:
    return {
        queued.task.ref: _backoff(queued.reason, queued.not_before)
        for queued in queue
        if queued.not_before is not None and queued.not_before > now
    }


def _backoff(shown: Reason | None, until: datetime) -> Reason:
    if shown is not None and shown.code in _KEPT_DURING_BACKOFF:
        return shown
    because = f" ({shown.text})" if shown is not None and shown.text else ""
    return Reason(
        code=ReasonCode.RETRY_BACKOFF, text=f"is tried again at {until:%Y-%m-%d %H:%M:%S} UTC{because}"
    )


def _orders(
    tasks: Sequence[WaitingTask], policies: Mapping[str, Policy], context: PolicyContext
) -> tuple[list[Sequence[WaitingTask]], dict[TaskRef, Reason]]:
    """The order of each policy (by its name), and the tasks that have none with the reason."""
    groups: dict[str, list[WaitingTask]] = {}
    for task in tasks:
        groups.setdefault(task.policy, []).append(task)
    orders, unordered = [], {}
    for name, group in sorted(groups.items()):
        found = _ordered(group, policies.get(name), context)
        if isinstance(found, str):
            reason = Reason(code=ReasonCode.UNKNOWN_POLICY, text=f"policy {name!r} {found}")
            unordered.update({task.ref: reason for task in group})
        else:
            orders.append(found)
    return orders, unordered


def _ordered(
    tasks: Sequence[WaitingTask], policy: Policy | None, context: PolicyContext
) -> Sequence[WaitingTask] | str:
    """The tasks in the policy's order, or what is wrong with it: it may be anybody's code."""
    if policy is None:
        return "is not installed here"
    by_ref = {task.ref: task for task in tasks}
    try:
        refs = list(policy.order(tasks, context))
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"
    if len(refs) != len(by_ref) or set(refs) != by_ref.keys():
        return "did not return every task exactly once"
    return [by_ref[ref] for ref in refs]


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
