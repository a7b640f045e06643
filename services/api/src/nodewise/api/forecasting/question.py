"""What is asked, and on what the answer rests."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from nodewise.api.others import NOBODY_ELSE
from nodewise.core.db.queries.submissions import NewRun
from nodewise.core.db.queries.window import Rest
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.birth import NewTask
from nodewise.core.model.ids import RunId, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.problem import Objective, Planner
from nodewise.core.model.situation import Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import TaskFacts, WaitingTask
from nodewise.core.ports import Policy, Predict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the scheduler plans here: installed policies and planners, and its settings."""

    policies: Mapping[str, Policy]
    planners: Mapping[str, Planner]
    objective: Objective
    link_mib_per_s: float
    ageing: timedelta
    horizon: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A run that nobody has submitted, among all that are open on the cluster as it is.

    `hidden` are those of them that the answer must not tell of. `beyond`: more waits than a look of the scheduler sees, and so
    much of it is not among `runs` (None: all is).
    """

    run: OpenRun
    cluster: Cluster
    runs: tuple[OpenRun, ...]
    running: tuple[Occupancy, ...]
    predict: Predict
    rules: Rules
    rng: Random
    out_of_time: Callable[[], bool]
    hidden: Set[RunId] = NOBODY_ELSE
    beyond: Rest | None = None


def hypothetical(run: NewRun, tasks: Sequence[NewTask]) -> OpenRun:
    """The run as it would be just after its submission, with all the tasks that it may come to."""
    return OpenRun(
        id=run.id,
        submitted_at=run.submitted_at,
        policy=run.policy,
        strategy=run.strategy,
        priority=run.priority,
        deadline=run.deadline,
        team=run.team,
        tasks=tuple(
            OpenTask(
                facts=TaskFacts(
                    ref=TaskRef(run_id=run.id, path=task.spec.path),
                    task_class=task.spec.task_class,
                    effort_flops=task.effort_flops,
                    input_bytes=task.input_bytes,
                ),
                spec=task.spec,
                state=TaskState.WAITING if task.spec.upstream else TaskState.READY,
            )
            for task in tasks
        ),
    )


def waiting_tasks(run: OpenRun) -> list[WaitingTask]:
    """Its READY tasks as a policy sees them. Since when they are ready is not known here: since the submission, say."""
    return [
        WaitingTask(
            ref=task.facts.ref,
            spec=task.spec,
            submitted_at=run.submitted_at,
            ready_at=run.submitted_at,
            priority=run.priority,
            deadline=run.deadline,
            team=run.team,
            policy=run.policy,
            strategy=run.strategy,
            effort_flops=task.facts.effort_flops,
            input_bytes=task.facts.input_bytes,
        )
        for task in run.tasks
        if task.state is TaskState.READY
    ]
