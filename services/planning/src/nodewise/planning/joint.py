"""All that is left of the open runs, planned at once: stage after stage, each in the gaps of those before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.problem import Assignment, Objective, Planner, Problem, Schedule, TaskId
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.ports import Predict
from nodewise.planning.joint_problem import Posed, Situation, pose, task_id, task_ref
from nodewise.planning.joint_stages import Staged, Terms, plan_in_stages
from nodewise.planning.memory import Memory
from nodewise.planning.rows import Rows
from nodewise.planning.stages import Stage

__all__ = ["JointContext", "JointPlan", "Memory", "PlannedTask", "Stage", "plan_jointly"]

HORIZON: Final = 2000
PLACEMENTS: Final = 20_000


def never() -> bool:
    """There is always time."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """Where and when a task that waits is to run.

    `transfer_seconds` are what its data needs to come there, after the task that it comes from has ended: at the latest
    so long before `start` it can be sent.
    """

    ref: TaskRef
    node: NodeName
    start: datetime
    end: datetime
    transfer_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JointContext:
    """What planning may use besides the situation.

    Attributes:
        now: Nothing starts before.
        planners: By name; a stage names one of them.
        predict: What is believed of run times. As long as it is the same object, answers are reused.
        rng: The only source of chance.
        objective: What is to be least over the runs of a stage.
        link_mib_per_s: How fast data moves between any two nodes.
        out_of_time: Asked between improvements; says when to stop.
        horizon: So many tasks are planned at most.
        placements: How many tasks the search of `portfolio` may place after an uneventful look. After a surprise it may
            place up to ten times as many.
    """

    now: datetime
    planners: Mapping[str, Planner]
    predict: Predict
    rng: Random
    objective: Objective = Objective.BALANCED
    link_mib_per_s: float = 100.0
    out_of_time: Callable[[], bool] = never
    horizon: int = HORIZON
    placements: int = PLACEMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class JointPlan:
    """What is to be done, by what is known now.

    Attributes:
        tasks: Every task that waits and is planned.
        unplannable: Tasks that no node can ever take, each with a sentence. What comes after them is not planned.
        beyond: Tasks behind the horizon.
        memory: For the next plan.
        problem: What was planned, in seconds from `now` on; a pipeline is named by its run's id.
        schedule: The plan as its solution; live tasks included.
        predictions: What is believed of the run time of each planned task on its node, and of each live one.
    """

    tasks: Mapping[TaskRef, PlannedTask]
    unplannable: Mapping[TaskRef, str]
    beyond: frozenset[TaskRef]
    memory: Memory
    problem: Problem
    schedule: Schedule
    predictions: Mapping[TaskRef, Prediction]


def plan_jointly(  # noqa: PLR0917 - what there is, how it is planned, what was planned before
    cluster: Cluster,
    runs: Sequence[OpenRun],
    running: Sequence[Occupancy],
    stages: Sequence[Stage],
    context: JointContext,
    *,
    memory: Memory,
) -> JointPlan:
    """Plan every task that waits: its node, its start, its end. Pure; deterministic while there is time.

    A stage is planned around all earlier ones and never delays them: conservative backfilling (Mu'alem, Feitelson:
    "Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with backfilling", IEEE
    TPDS 12(6), 2001), a stage being one job of theirs. As long as things go as planned, the last plan is kept (order and
    nodes; times follow from what is believed now): O(tasks x (parents + nodes)). After a surprise (an arrival, another
    node, a run time that is off by more than a tenth) each stage's planner plans again.

    Args:
        cluster: The nodes that may be used.
        runs: What is open of the runs to be planned.
        running: All live attempts, those of other runs included.
        stages: Which runs are planned together, first come first. Runs in none of them are not planned.
        context: Time, planners, beliefs, bounds.
        memory: Of the last plan (`Memory()`: there was none).

    Raises:
        KeyError: A stage's planner is not among `context.planners`.
    """
    situation = Situation(
        cluster=cluster,
        runs=runs,
        running=running,
        now=context.now,
        predict=context.predict,
        link_mib_per_s=context.link_mib_per_s,
    )
    posed = pose(situation, stages, horizon=context.horizon, rows=memory.rows)
    terms = Terms(
        planners=context.planners,
        objective=context.objective,
        rng=context.rng,
        out_of_time=context.out_of_time,
        placements=context.placements,
    )
    staged = plan_in_stages(posed, terms, memory, now=context.now)
    return _joint(situation, posed, staged)


def _joint(situation: Situation, posed: Posed, staged: Staged) -> JointPlan:
    now = situation.now
    tasks = {}
    for key, at in staged.planned.items():
        ref = task_ref(key)
        tasks[ref] = PlannedTask(
            ref=ref,
            node=at.node,
            start=now + timedelta(seconds=at.start),
            end=now + timedelta(seconds=at.end),
            transfer_seconds=staged.transfers.get(key, 0.0),
        )
    assignments = {**staged.planned, **posed.problem.fixed}
    return JointPlan(
        tasks=tasks,
        unplannable=posed.unplannable,
        beyond=posed.beyond,
        memory=staged.memory,
        problem=posed.problem,
        schedule=Schedule(assignments=assignments),
        predictions=_predictions(situation, posed.rows, assignments),
    )


def _predictions(
    situation: Situation, rows: Rows, assignments: Mapping[TaskId, Assignment]
) -> dict[TaskRef, Prediction]:
    """Of what waits or was admitted by its row, of what lives as it was placed."""
    known = {ref: rows.known[ref].predictions for ref in map(task_ref, assignments) if ref in rows.known}
    found = {ref: own[at] for ref, own in known.items() if (at := assignments[task_id(ref)].node) in own}
    live = {one.ref: one.prediction for one in situation.running if one.prediction is not None}
    return {**found, **live}
