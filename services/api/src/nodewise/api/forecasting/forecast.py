"""The plan with the new run among the others, and what it says of that run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from nodewise.api.forecasting.question import Question, waiting_tasks
from nodewise.api.forecasting.reasons import Reasons, Why
from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.core.model.problem import Objective
from nodewise.core.model.situation import OpenRun, OpenTask
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.core.refusals import NO_NODES
from nodewise.planning.joint import JointContext, JointPlan, Memory, PlannedTask, plan_jointly
from nodewise.planning.outlook import Outlook, outlook
from nodewise.planning.proof import Certificate, prove
from nodewise.planning.stages import JOINT_POLICY, Stage, plan_stages

STAND_IN: Final = "eft"
"""Plans for strategies that decide task by task: each task where it ends first, as its turn comes."""

_LONGEST_TEXT: Final = 500
_EXACT_SECONDS: Final = 0.5
"""For an exact search of small problems: it mostly ends in a fraction of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForecast:
    """A task in the plan: it starts and ends as planned if all that is planned takes its median run time.

    Between which times it does in truth, with 80 % probability, says `outlook`; `prediction` says it of its run time.
    """

    planned: PlannedTask
    outlook: Outlook
    prediction: Prediction
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How good the whole plan is, seconds from now: no plan ends before `lower_bound_seconds`."""

    makespan_seconds: float
    lower_bound_seconds: float
    optimal: bool

    @property
    def gap(self) -> float | None:
        """By which share the plan is longer than the bound, at most; None: the bound is nothing."""
        if self.lower_bound_seconds <= 0:
            return None
        return max(0.0, self.makespan_seconds / self.lower_bound_seconds - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would become of the run. `tasks` are in its own order; what cannot be told stands in `unplannable`, and why.

    `outlook`: of the first start and the last end of these tasks. `failure`: why not the planners were asked that the
    runs name, but the stand-in for all.
    """

    tasks: tuple[TaskForecast, ...] = ()
    outlook: Outlook | None = None
    unplannable: Mapping[TaskPath, str] = field(default_factory=dict)
    proof: Proof | None = None
    tasks_before: int = 0
    tasks_running: int = 0
    failure: str | None = None


def forecast(asked: Question) -> Forecast:
    """Plan the run among the others, by the scheduler's own rules."""
    if not asked.cluster.nodes:
        return Forecast(unplannable=dict.fromkeys(_paths(asked.run), NO_NODES.text))
    runs = [followed(run, asked) for run in (*asked.runs, asked.run)]
    stages = plan_stages(runs, _orders(runs, asked), now=asked.cluster.taken_at, ageing=asked.rules.ageing)
    if not any(asked.run.id in stage.runs for stage in stages):
        reason = f"policy {asked.run.policy!r} gives no order"
        return Forecast(unplannable=dict.fromkeys(_paths(asked.run), reason))
    plan, failure = _planned_somehow(runs, stages, asked)
    return replace(_told(plan, asked), failure=failure)


def followed(run: OpenRun, asked: Question) -> OpenRun:
    """The run as it is planned: with a planner in the place of a strategy that decides task by task."""
    return run if run.strategy in asked.rules.planners else replace(run, strategy=STAND_IN)


def _planned_somehow(
    runs: Sequence[OpenRun], stages: Sequence[Stage], asked: Question
) -> tuple[JointPlan, str | None]:
    """The plan, and why it is not by the planners that the runs name. One of these may be anybody's code."""
    try:
        return _planned(runs, stages, asked), None
    except Exception as error:
        others = [replace(stage, planner=STAND_IN) for stage in stages]
        # It was shown all runs, and may name any in any way.
        what = type(error).__name__ if asked.hidden else f"{type(error).__name__}: {error}"
        failure = f"a planner failed: {what}"[:_LONGEST_TEXT]
        return _planned(runs, others, asked), failure


def _planned(runs: Sequence[OpenRun], stages: Sequence[Stage], asked: Question) -> JointPlan:
    rules = asked.rules
    context = JointContext(
        now=asked.cluster.taken_at,
        planners=rules.planners,
        predict=asked.predict,
        rng=asked.rng,
        objective=rules.objective,
        link_mib_per_s=rules.link_mib_per_s,
        out_of_time=asked.out_of_time,
        horizon=rules.horizon,
    )
    return plan_jointly(asked.cluster, runs, asked.running, stages, context, memory=Memory())


def _orders(runs: Sequence[OpenRun], asked: Question) -> Mapping[str, Sequence[TaskRef]]:
    """Each policy's order of what waits. A policy that is missing or fails orders nothing: the scheduler says so, too."""
    groups: dict[str, list[WaitingTask]] = {}
    for run in runs:
        groups.setdefault(run.policy, []).extend(waiting_tasks(run))
    context = PolicyContext(
        now=asked.cluster.taken_at, rng=asked.rng, cluster=asked.cluster, predict=asked.predict
    )
    found: dict[str, Sequence[TaskRef]] = {}
    for name, tasks in sorted(groups.items()):
        policy = asked.rules.policies.get(name)
        if policy is None or name == JOINT_POLICY:
            continue
        try:
            found[name] = list(policy.order(tasks, context))
        except Exception:  # noqa: S112 - anybody's code; its runs wait with UNKNOWN_POLICY
            continue
    return found


def _told(plan: JointPlan, asked: Question) -> Forecast:
    own = {task.path: task for task in asked.run.tasks}
    unplannable = _unplannable(plan, own, asked.run.id)
    if len(unplannable) == len(own):
        return Forecast(unplannable=unplannable, tasks_running=len(asked.running))
    planned_refs = [task.facts.ref for task in own.values() if task.facts.ref in plan.tasks]
    looks = outlook(plan, planned_refs, asked.rng, now=asked.cluster.taken_at)
    reasons = Reasons(plan.tasks, asked.running, now=asked.cluster.taken_at, hidden=asked.hidden)
    nodes = {view.name: view.node for view in asked.cluster.nodes}
    tasks = []
    for task in own.values():
        planned = plan.tasks.get(task.facts.ref)
        if planned is not None:
            tasks.append(
                TaskForecast(
                    planned=planned,
                    outlook=looks.tasks[planned.ref],
                    prediction=asked.predict(task.facts, nodes[planned.node]),
                    why=reasons.why(planned, task.spec.upstream),
                )
            )
    return Forecast(
        tasks=tuple(tasks),
        outlook=looks.together,
        unplannable=unplannable,
        proof=_proof(plan, asked.rules.objective),
        tasks_before=_before(plan, tasks, asked),
        tasks_running=len(asked.running),
    )


def _unplannable(plan: JointPlan, own: Mapping[TaskPath, OpenTask], run: RunId) -> Mapping[TaskPath, str]:
    """Why each task of the run that the plan has not is not in it; `own` has upstream tasks first."""
    found: dict[TaskPath, str] = {}
    for path, task in own.items():
        ref = TaskRef(run_id=run, path=path)
        if ref in plan.tasks:
            continue
        missing = next((parent for parent in task.spec.upstream if parent in found), None)
        behind = None if missing is None else f"it needs {missing}, which cannot be planned"
        far = "so many tasks are before it that nothing can be told yet" if ref in plan.beyond else None
        found[path] = plan.unplannable.get(ref) or far or behind or "it is not in the plan"
    return found


def _proof(plan: JointPlan, objective: Objective) -> Proof | None:
    """The certificate, counted from now: what has passed since the first submission is in every plan."""
    assignments = plan.schedule.assignments
    if not assignments:
        return None
    problem = plan.problem
    certificate: Certificate = prove(problem, plan.schedule, objective, exact_seconds=_EXACT_SECONDS)
    began = min((pipeline.submitted_at for pipeline in problem.pipelines), default=problem.now)
    end = max(one.end for one in assignments.values())
    return Proof(
        makespan_seconds=max(0.0, end - problem.now),
        lower_bound_seconds=max(0.0, began + certificate.lower_bound[Objective.MAKESPAN] - problem.now),
        optimal=certificate.optimal,
    )


def _before(plan: JointPlan, tasks: Sequence[TaskForecast], asked: Question) -> int:
    """How many tasks of others are still to start, and do so before this run's first."""
    if not tasks:
        return 0
    first: datetime = min(task.planned.start for task in tasks)
    live = {one.ref for one in asked.running}
    return sum(
        planned.start < first
        for ref, planned in plan.tasks.items()
        if ref.run_id != asked.run.id and ref not in live
    )


def _paths(run: OpenRun) -> list[TaskPath]:
    return [task.path for task in run.tasks]
