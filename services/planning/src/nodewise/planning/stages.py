"""Where policies and planners meet: which runs are planned together, and which only around what is planned before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Final

from nodewise.core.model.ids import RunId, TaskRef
from nodewise.core.model.situation import OpenRun

JOINT_POLICY: Final = "balanced"
"""The policy that sets no order between its runs: planning them together finds a better one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Runs that one planner plans together, in the gaps that earlier stages leave: none of those is ever delayed."""

    planner: str
    runs: tuple[RunId, ...]


def plan_stages(
    runs: Sequence[OpenRun], orders: Mapping[str, Sequence[TaskRef]], *, now: datetime, ageing: timedelta
) -> tuple[Stage, ...]:
    """The stages of these runs, the first to be planned first; each of `runs` is in at most one. O(n log n).

    Under `balanced` the runs of one priority share a stage, higher priorities first. Under any other policy each run
    is a stage of its own. Either way, runs that were submitted longer ago than `ageing` come before all others of their
    policy, whatever their priority. Stages of several policies are merged: whose next stage has the oldest run goes next.

    Args:
        runs: Those whose strategy is a planner.
        orders: Each policy's own order of the tasks that wait; a run takes the place of its first task. One without
            a waiting task comes first. `balanced` needs none; runs of a policy that has none are left out.
        now: Decides who has aged.
        ageing: After so long nobody is passed any more by who was submitted later and has not aged.
    """
    by_policy: dict[str, list[OpenRun]] = {}
    for run in sorted(runs, key=lambda run: (run.submitted_at, run.id)):
        by_policy.setdefault(run.policy, []).append(run)
    found = []
    for policy, group in sorted(by_policy.items()):
        aged = [run for run in group if now - run.submitted_at > ageing]
        young = group[len(aged) :]
        if policy == JOINT_POLICY:
            found.append(list(chain(_together(aged), _by_priority(young))))
        elif policy in orders:
            found.append([[run] for run in chain(aged, _in_order(young, orders[policy]))])
    return tuple(_stage(group) for group in _merged(found))


def _by_priority(runs: Sequence[OpenRun]) -> Iterable[list[OpenRun]]:
    for priority in sorted({run.priority for run in runs}, reverse=True):
        yield from _together([run for run in runs if run.priority == priority])


def _together(runs: Sequence[OpenRun]) -> Iterable[list[OpenRun]]:
    """One group per planner, that of the oldest run first."""
    groups: dict[str, list[OpenRun]] = {}
    for run in runs:
        groups.setdefault(run.strategy, []).append(run)
    return groups.values()


def _in_order(runs: Sequence[OpenRun], order: Sequence[TaskRef]) -> Sequence[OpenRun]:
    places: dict[RunId, int] = {}
    for place, ref in enumerate(order):
        places.setdefault(ref.run_id, place)
    return sorted(runs, key=lambda run: places.get(run.id, -1))


def _merged(lists: Sequence[Sequence[list[OpenRun]]]) -> Iterable[list[OpenRun]]:
    """All groups, each list in its own order; the list whose head holds the oldest run goes next."""
    heap = [(groups[0][0].submitted_at, number, 0) for number, groups in enumerate(lists) if groups]
    heapify(heap)
    while heap:
        _, number, index = heappop(heap)
        groups = lists[number]
        yield groups[index]
        if index + 1 < len(groups):
            heappush(heap, (groups[index + 1][0].submitted_at, number, index + 1))


def _stage(runs: Sequence[OpenRun]) -> Stage:
    return Stage(planner=runs[0].strategy, runs=tuple(run.id for run in runs))
