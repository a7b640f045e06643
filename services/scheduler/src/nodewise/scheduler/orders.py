"""In which order the waiting tasks are considered: each policy's own, those merged, and who waited too long first. Pure."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nodewise.core.anonymous import said
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Policy, PolicyContext


@dataclass(frozen=True, slots=True)
class Turn:
    """A task to be considered. `node`: where its plan wants it (None: it has no plan); `is_due`: and that now."""

    task: WaitingTask
    node: NodeName | None = None
    aged: bool = False
    is_due: bool = True


def ordered(
    tasks: Sequence[WaitingTask], policies: Mapping[str, Policy], context: PolicyContext
) -> tuple[dict[str, Sequence[WaitingTask]], dict[TaskRef, Reason]]:
    """The order of each policy by its name, and the tasks that have none with the reason."""
    groups: dict[str, list[WaitingTask]] = {}
    for task in tasks:
        groups.setdefault(task.policy, []).append(task)
    orders: dict[str, Sequence[WaitingTask]] = {}
    unordered: dict[TaskRef, Reason] = {}
    for name, group in sorted(groups.items()):
        found = _ordered(group, policies.get(name), context)
        if isinstance(found, str):
            reason = Reason(code=ReasonCode.UNKNOWN_POLICY, text=f"policy {name!r} {found}")
            unordered.update({task.ref: reason for task in group})
        else:
            orders[name] = found
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
        return f"failed: {said(error)}"
    if len(refs) != len(by_ref) or set(refs) != by_ref.keys():
        return "did not return every task exactly once"
    return [by_ref[ref] for ref in refs]


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


def turns(
    orders: Sequence[Sequence[WaitingTask]],
    due: Mapping[TaskRef, NodeName],
    later: Mapping[TaskRef, NodeName],
    *,
    now: datetime,
    ageing: timedelta,
) -> Iterator[Turn]:
    """Everybody's turn: who has waited longer than `ageing` first, oldest first, then the merged orders.

    Of what plans want later, only the aged have a turn: room may have to be kept for them.
    """
    limit = now - ageing
    aged = [task for order in orders for task in order if task.ready_at < limit]
    for task in sorted(aged, key=lambda task: (task.ready_at, task.submitted_at, task.ref)):
        node = due.get(task.ref) or later.get(task.ref)
        yield Turn(task, node, aged=True, is_due=task.ref not in later)
    young = [[task for task in order if task.ready_at >= limit] for order in orders] if aged else orders
    for task in merged(young):
        if task.ref not in later:
            yield Turn(task, due.get(task.ref))
