"""The simulated pipelines that have arrived and not ended, as planning in production reads them from the rows."""

from graphlib import TopologicalSorter

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import RunId, TaskPath
from nodewise.core.model.situation import DoneTask, OpenRun, OpenTask
from nodewise.simulator.engine import World
from nodewise.simulator.tables import Tables
from nodewise.simulator.views import Views, moment


class OpenRuns:
    """Keeps each run's view until something happens in it: a look costs as much as happened since the last one.

    How much data goes from task to task is known from the submission on, as the problem says it. Mutable within one
    simulation.
    """

    def __init__(self, world: World, views: Views, *, policy: str, strategy: str) -> None:
        self._world = world
        self._views = views
        self._choice = (policy, strategy)
        self._order = _topological(world.tables)
        self._known: dict[int, OpenRun | None] = {}
        self._opened: dict[tuple[int, TaskState], OpenTask] = {}
        self._done_tasks: dict[int, DoneTask] = {}
        self._data = [_data(world.tables, tasks) for tasks in self._order]

    def changed(self, task: int) -> None:
        """Something happened to that task."""
        self._known.pop(self._world.tables.pipeline_of[task], None)

    def forget(self) -> None:
        """Anything may have happened."""
        self._known.clear()

    def runs(self) -> tuple[OpenRun, ...]:
        """All runs that are open, in the order of their arrival."""
        for pipeline in self._world.arrived:
            if pipeline not in self._known:
                self._known[pipeline] = self._run(pipeline)
        found = (self._known[pipeline] for pipeline in self._world.arrived)
        return tuple(run for run in found if run is not None)

    def _run(self, number: int) -> OpenRun | None:
        world, tables = self._world, self._world.tables
        tasks = [self._open(task) for task in self._order[number] if task not in world.ended]
        if not tasks:
            return None
        pipeline = tables.pipelines[number]
        policy, strategy = self._choice
        return OpenRun(
            id=RunId(pipeline.name),
            submitted_at=moment(pipeline.submitted_at),
            policy=policy,
            strategy=strategy,
            priority=pipeline.priority,
            deadline=None if pipeline.deadline is None else moment(pipeline.deadline),
            team=pipeline.team,
            tasks=tuple(tasks),
            done={
                TaskPath(tables.tasks[task].name): self._done(task)
                for task in self._order[number]
                if task in world.ended
            },
            data_mib=self._data[number],
        )

    def _open(self, task: int) -> OpenTask:
        state = TaskState.WAITING
        if task in self._world.running:
            state = TaskState.RUNNING
        elif task in self._world.ready:
            state = TaskState.READY
        if (task, state) not in self._opened:
            self._opened[task, state] = OpenTask(
                facts=self._views.facts[task], spec=self._views.specs[task], state=state
            )
        return self._opened[task, state]

    def _done(self, task: int) -> DoneTask:
        if task not in self._done_tasks:
            attempt = self._world.ended[task]
            self._done_tasks[task] = DoneTask(
                node=self._world.tables.nodes[attempt.node].name,
                started_at=moment(attempt.start),
                ended_at=moment(attempt.end),
            )
        return self._done_tasks[task]


def _topological(tables: Tables) -> list[list[int]]:
    """The tasks of each pipeline, parents first."""
    of_pipeline: list[dict[int, list[int]]] = [{} for _ in tables.pipelines]
    for task, pipeline in enumerate(tables.pipeline_of):
        of_pipeline[pipeline][task] = [parent for parent, _ in tables.parents[task]]
    return [list(TopologicalSorter(graph).static_order()) for graph in of_pipeline]


def _data(tables: Tables, tasks: list[int]) -> dict[tuple[TaskPath, TaskPath], float]:
    name = {task: TaskPath(tables.tasks[task].name) for task in tasks}
    return {(name[parent], name[task]): mib for task in tasks for parent, mib in tables.parents[task]}
