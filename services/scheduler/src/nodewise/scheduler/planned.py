"""Runs whose strategy is a planner: all that is left of them is planned together, in every look. Pure.

Nothing is booked ahead. What is due now is offered its node like any other task; the rest waits, and the plan is made
again as things happen.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nodewise.core.anonymous import said, unnamed
from nodewise.core.errors import NodewiseError
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskRef
from nodewise.core.model.situation import OpenRun
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.planning.joint import JointContext, JointPlan, PlannedTask, plan_jointly
from nodewise.planning.stages import Stage, plan_stages
from nodewise.scheduler.snapshot import LastPlan, Planning, Snapshot

_LONGEST_TEXT = 1000
_TOLERANCE = timedelta(milliseconds=1)
"""Starts are reckoned in floating point: what is due within this is due."""


Orders = Mapping[str, Sequence[WaitingTask]]
"""By policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What is planned, of which runs it could not be and why, and whose turn has come (earliest start first)."""

    last: LastPlan = field(default_factory=LastPlan)
    refused: Mapping[RunId, Reason] = field(default_factory=dict)
    due: Mapping[TaskRef, NodeName] = field(default_factory=dict)
    link_mib_per_s: float = 100.0

    @property
    def tasks(self) -> Mapping[TaskRef, PlannedTask]:
        return {} if self.last.plan is None else self.last.plan.tasks


def split(
    orders: Orders, runs: Sequence[OpenRun], planning: Planning | None
) -> tuple[Orders, list[Sequence[WaitingTask]]]:
    """The tasks that are planned, and the orders of those that are taken one by one."""
    if planning is None:
        return {}, list(orders.values())
    planners = planning.planners.keys() | {run.strategy for run in runs}
    planned = {name: [task for task in order if task.strategy in planners] for name, order in orders.items()}
    return planned, [[task for task in order if task.strategy not in planners] for order in orders.values()]


def staged(
    runs: Sequence[OpenRun],
    planned: Orders,
    policies: Collection[str],
    *,
    unordered: Collection[TaskRef],
    now: datetime,
    ageing: timedelta,
) -> Sequence[Stage]:
    """Which runs are planned together, and which around which; those whose policy is missing or fails, not at all."""
    broken = {ref.run_id for ref in unordered}
    orders = {name: [task.ref for task in planned.get(name, ())] for name in policies}
    known = [run for run in runs if run.policy in orders and run.id not in broken]
    return plan_stages(known, orders, now=now, ageing=ageing)


def look_ahead(
    snapshot: Snapshot, stages: Sequence[Stage], context: PolicyContext, planning: Planning
) -> Ahead:
    """Plan what the stages name; the last plan stays where nothing happened since and nothing of it was due.

    A planner that fails holds up the runs of its own name only.
    """
    last = planning.memory
    keeps = planning.keeps and last.plan is not None
    state = last.state if keeps else _state(snapshot, stages)
    is_new = state != last.state or context.predict is not last.predict or _is_due(last.next_due, context.now)
    if is_new and not keeps:
        plan, failed = _planned(snapshot, _known(stages, planning), context, planning)
        last = LastPlan(
            plan=plan,
            failed=failed,
            state=state,
            predict=context.predict,
            memory=last.memory if plan is None else plan.memory,
        )
    dues = _dues(snapshot.runs, last.plan, planning)
    nodes = {} if last.plan is None else {ref: last.plan.tasks[ref].node for ref in dues}
    return Ahead(
        last=replace(last, next_due=min(dues.values(), default=None)),
        refused=_unknown(stages, planning) | dict(last.failed),
        due={ref: nodes[ref] for ref, at in dues.items() if _is_due(at, context.now)},
        link_mib_per_s=planning.link_mib_per_s,
    )


def _is_due(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now + _TOLERANCE


def _dues(runs: Sequence[OpenRun], plan: JointPlan | None, planning: Planning) -> dict[TaskRef, datetime]:
    """When the turn of each READY task comes, earliest start first."""
    if plan is None:
        return {}
    ready = [task.facts.ref for run in runs for task in run.tasks if task.state is TaskState.READY]
    planned = [plan.tasks[ref] for ref in ready if ref in plan.tasks]
    ahead = planning.moves_data_after_placement
    return {
        task.ref: task.start - timedelta(seconds=task.transfer_seconds if ahead else 0.0)
        for task in sorted(planned, key=lambda task: (task.start, task.ref))
    }


def _known(stages: Sequence[Stage], planning: Planning) -> list[Stage]:
    return [stage for stage in stages if stage.planner in planning.planners]


def _unknown(stages: Sequence[Stage], planning: Planning) -> dict[RunId, Reason]:
    known = ", ".join(sorted(planning.planners))
    found: dict[RunId, Reason] = {}
    for stage in stages:
        if stage.planner not in planning.planners:
            text = f"planner {stage.planner!r} is not installed here; known: {known}"
            reason = Reason(code=ReasonCode.UNKNOWN_STRATEGY, text=text)
            found.update(dict.fromkeys(stage.runs, reason))
    return found


def _state(snapshot: Snapshot, stages: Sequence[Stage]) -> tuple[object, ...]:
    """All that a plan is made of, but time: equal states ask for equal plans."""
    runs = [
        (run.id, len(run.done), [(task.state, task.not_before, task.allowed_nodes) for task in run.tasks])
        for run in snapshot.runs
    ]
    running = [(live.ref, live.node, live.started_at) for live in snapshot.running]
    nodes = [(view.node, view.slots) for view in snapshot.cluster.nodes]
    return (tuple(stages), runs, running, nodes)


def _planned(
    snapshot: Snapshot, stages: Sequence[Stage], context: PolicyContext, planning: Planning
) -> tuple[JointPlan | None, Mapping[RunId, Reason]]:
    """One plan of all; where that fails, of the planners that can be planned with, and why not of the others."""
    if not stages:
        return None, {}
    try:
        return _joint(snapshot, stages, context, planning), {}
    except Exception as error:
        if len({stage.planner for stage in stages}) == 1:
            return None, _failed(stages, error)
    good: list[Stage] = []
    plan: JointPlan | None = None
    failed: dict[RunId, Reason] = {}
    for planner in sorted({stage.planner for stage in stages}):
        tried = [stage for stage in stages if stage in good or stage.planner == planner]
        try:
            plan = _joint(snapshot, tried, context, planning)
            good = tried
        except Exception as error:
            failed |= _failed([stage for stage in stages if stage.planner == planner], error)
    return plan, failed


def _failed(stages: Sequence[Stage], error: Exception) -> dict[RunId, Reason]:
    # The text may hold what foreign code said: bounded, and without the one character that Postgres refuses.
    what = unnamed(str(error)) if isinstance(error, NodewiseError) else said(error)
    text = f"planner {stages[0].planner!r} failed: {what}".replace("\x00", "")[:_LONGEST_TEXT]
    reason = Reason(code=ReasonCode.STRATEGY_RULE, text=text)
    return {run: reason for stage in stages for run in stage.runs}


def _joint(
    snapshot: Snapshot, stages: Sequence[Stage], context: PolicyContext, planning: Planning
) -> JointPlan:
    staged: Collection[RunId] = {run for stage in stages for run in stage.runs}
    return plan_jointly(
        snapshot.cluster,
        [run for run in snapshot.runs if run.id in staged],
        snapshot.running,
        stages,
        JointContext(
            now=context.now,
            planners=planning.planners,
            predict=context.predict,
            rng=context.rng,
            objective=planning.objective,
            link_mib_per_s=planning.link_mib_per_s,
            out_of_time=planning.out_of_time,
            horizon=planning.horizon,
            placements=planning.placements,
        ),
        memory=planning.memory.memory,
    )
