"""The open runs as a planning problem: seconds from now on, what runs as fixed, what others have as held."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nodewise.core.estimates.forecast import expected_end
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.problem import (
    Assignment,
    Dependency,
    Held,
    Links,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    TaskId,
)
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import DoneTask, Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import TaskSpec
from nodewise.core.ports import Predict
from nodewise.core.refusals import refusal
from nodewise.planning.rows import RowMaker, Rows
from nodewise.planning.stages import Stage

UNEXPLAINED_S: Final = 1.0
"""So long room is held that is booked on a node though nothing that runs there has it: it is about to be released."""

_MIB: Final = 1024 * 1024
_AT_ONCE: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is planned on: all times are seconds after `now`."""

    cluster: Cluster
    runs: Sequence[OpenRun]
    running: Sequence[Occupancy]
    now: datetime
    predict: Predict
    link_mib_per_s: float = 100.0

    def seconds(self, moment: datetime) -> float:
        return (moment - self.now).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """The problem, and what is not in it.

    Attributes:
        problem: All runs within the horizon, in the order of the stages.
        stages: The pipelines of each stage; those without any have nothing open.
        unplannable: Tasks that no node can ever take, each with a sentence that says why.
        beyond: Tasks behind the horizon.
        weighed: Of tasks with wishes, their run times as they count for the choice of a node (see `rows.Row`).
        rows: Run times by task, for the next time.
    """

    problem: Problem
    stages: tuple[tuple[Stage, tuple[ProblemPipeline, ...]], ...]
    unplannable: Mapping[TaskRef, str]
    beyond: frozenset[TaskRef]
    weighed: Mapping[TaskId, Mapping[NodeName, float]]
    rows: Rows


def pose(situation: Situation, stages: Sequence[Stage], *, horizon: int, rows: Rows) -> Posed:
    """The problem of these stages; O(tasks x nodes) questions to `predict`, but for what `rows` knows.

    Of a run, tasks behind one that is unplannable are left out, and so are runs that are in no stage: what lives of
    them only holds its room.
    """
    runs = {run.id: run for run in situation.runs}
    staged = [runs[run_id] for stage in stages for run_id in stage.runs if run_id in runs]
    maker = RowMaker(rows, _asked_of(situation, staged, horizon), situation.predict, situation.cluster)
    poser = _Poser(situation, maker, horizon=horizon)
    grouped = tuple(
        (stage, tuple(poser.pipeline(runs[run_id]) for run_id in stage.runs if run_id in runs))
        for stage in stages
    )
    nodes = tuple(
        ProblemNode(
            name=view.name, node_class=view.node.node_class, capacity=view.node.capacity, slots=view.slots
        )
        for view in situation.cluster.nodes
    )
    problem = Problem(
        nodes=nodes,
        pipelines=tuple(pipeline for _, pipelines in grouped for pipeline in pipelines),
        links=Links(default_mib_per_s=situation.link_mib_per_s),
        fixed=poser.fixed,
        held=tuple(_held(situation, poser.fixed)),
    )
    return Posed(
        problem=problem,
        stages=grouped,
        unplannable=poser.unplannable,
        beyond=frozenset(poser.beyond),
        weighed=poser.weighed,
        rows=maker.rows,
    )


def _asked_of(situation: Situation, runs: Iterable[OpenRun], horizon: int) -> list[OpenTask]:
    """The tasks whose run times are asked for: those that wait, up to the horizon, and those before that were admitted."""
    live = {one.ref for one in situation.running}
    found: list[OpenTask] = []
    for task in (task for run in runs for task in run.tasks):
        if task.facts.ref not in live:
            found.append(task)
            horizon -= 0 if _admitted_to_one(task) else 1
        if horizon < 0:
            break
    return found


def _admitted_to_one(task: OpenTask) -> bool:
    return task.state is TaskState.ADMITTED and len(task.allowed_nodes or ()) == 1


class _Poser:
    """Turns runs into pipelines, one after another, until the horizon is full."""

    def __init__(self, situation: Situation, maker: RowMaker, *, horizon: int) -> None:
        self.fixed: dict[TaskId, Assignment] = {}
        self.unplannable: dict[TaskRef, str] = {}
        self.beyond: set[TaskRef] = set()
        self.weighed: dict[TaskId, Mapping[NodeName, float]] = {}
        self._maker = maker
        self._situation = situation
        self._left = horizon
        self._live = {held.ref: held for held in situation.running}

    def pipeline(self, run: OpenRun) -> ProblemPipeline:
        tasks: dict[TaskPath, ProblemTask] = {}
        left_out: set[TaskPath] = set()
        for task in run.tasks:
            found = self._live_task(task) or self._admitted(task)
            found = found or self._free(run, task, tasks, left_out=left_out)
            if found is None:
                left_out.add(task.path)
            else:
                tasks[task.path] = found
        inputs = {TaskPath(parent.task) for task in tasks.values() for parent in task.after} - tasks.keys()
        done = [self._done(run.id, path, run.done[path]) for path in run.done if path in inputs]
        return ProblemPipeline(
            name=run.id,
            submitted_at=self._situation.seconds(run.submitted_at),
            priority=run.priority,
            deadline=None if run.deadline is None else self._situation.seconds(run.deadline),
            team=run.team,
            tasks=(*done, *tasks.values()),
        )

    def _fix(self, ref: TaskRef, node: NodeName, *, start: float, end: float) -> None:
        key = task_id(ref)
        self.fixed[key] = Assignment(id=key, node=node, start=start, end=end)

    def _done(self, run_id: RunId, path: TaskPath, done: DoneTask) -> ProblemTask:
        end = min(0.0, self._situation.seconds(done.ended_at))
        start = min(end, self._situation.seconds(done.started_at))
        self._fix(TaskRef(run_id=run_id, path=path), done.node, start=start, end=end)
        return ProblemTask(name=path, seconds={done.node: end - start})

    def _live_task(self, task: OpenTask) -> ProblemTask | None:
        live = self._live.get(task.facts.ref)
        if live is None:
            return None
        start, end = _span(self._situation, live)
        self._fix(live.ref, live.node, start=start, end=end)
        return ProblemTask(name=task.path, resources=live.resources, seconds={live.node: end - start})

    def _admitted(self, task: OpenTask) -> ProblemTask | None:
        """A task that the placers have got for one node is about to run there."""
        if not _admitted_to_one(task):
            return None
        node = (task.allowed_nodes or ())[0]
        row = self._maker.of(task)
        seconds = row.seconds.get(node)
        if seconds is None:
            return None
        self._fix(task.facts.ref, node, start=0.0, end=seconds)
        return ProblemTask(name=task.path, resources=row.needs, seconds={node: seconds})

    def _free(
        self,
        run: OpenRun,
        task: OpenTask,
        before: Mapping[TaskPath, ProblemTask],
        *,
        left_out: set[TaskPath],
    ) -> ProblemTask | None:
        ref = task.facts.ref
        if not self._left:
            self.beyond.add(ref)
            return None
        if not left_out.isdisjoint(task.spec.upstream):
            return None
        row = self._maker.of(task)
        if not row.seconds:
            self.unplannable[ref] = self._refusal(task.spec)
            return None
        self._left -= 1
        if row.weighed != row.seconds:
            self.weighed[task_id(ref)] = row.weighed
        return ProblemTask(
            name=task.path,
            task_class=task.spec.task_class,
            resources=row.needs,
            seconds=row.seconds,
            after=tuple(_dependencies(run, task.spec, before)),
            not_before=_AT_ONCE if task.not_before is None else self._situation.seconds(task.not_before),
        )

    def _refusal(self, spec: TaskSpec) -> str:
        found = [lasting_exclusion(spec, view.node) for view in self._situation.cluster.nodes]
        return refusal(spec, [exclusion for exclusion in found if exclusion is not None]).text


def task_id(ref: TaskRef) -> TaskId:
    """A task of a run as a task of a pipeline: the run's id is the pipeline's name."""
    return TaskId(pipeline=ref.run_id, task=ref.path)


def task_ref(key: TaskId) -> TaskRef:
    """The way back from `task_id`."""
    return TaskRef(run_id=RunId(key.pipeline), path=TaskPath(key.task))


def _dependencies(
    run: OpenRun, spec: TaskSpec, open_tasks: Mapping[TaskPath, ProblemTask]
) -> Iterable[Dependency]:
    """What a task waits for. How much data comes from a task is known once it has ended, if not before."""
    for path in spec.upstream:
        known = run.data_mib.get((path, spec.path))
        if path in open_tasks:
            yield Dependency(task=path, mib=known or 0.0)
        elif path in run.done:
            yield Dependency(task=path, mib=run.done[path].output_bytes / _MIB if known is None else known)


def _span(situation: Situation, live: Occupancy) -> tuple[float, float]:
    """From when to when a live attempt is believed to run."""
    end = expected_end(
        live.prediction, started_at=live.started_at, placed_at=live.placed_at, now=situation.now
    )
    start = live.started_at or min(live.placed_at, situation.now)
    return min(situation.seconds(start), situation.seconds(end)), situation.seconds(end)


def _held(situation: Situation, fixed: Mapping[TaskId, Assignment]) -> Iterable[Held]:
    """What live attempts outside the problem have, and what is booked without any that would have it."""
    by_node: dict[NodeName, list[Occupancy]] = defaultdict(list)
    for live in situation.running:
        by_node[live.node].append(live)
        if task_id(live.ref) not in fixed:
            start, end = _span(situation, live)
            yield Held(node=live.node, resources=live.resources, start=start, end=end)
    for view in situation.cluster.nodes:
        yield from _unexplained(view, by_node[view.name])


def _unexplained(view: NodeView, live: Sequence[Occupancy]) -> Iterable[Held]:
    more = view.booked.minus(sum((one.resources for one in live), Resources()))
    count = max(view.running_tasks - len(live), int(more != Resources()))
    for first in range(count):
        resources = Resources() if first else more
        yield Held(node=view.name, resources=resources, start=0.0, end=UNEXPLAINED_S)
