"""Open runs for tests of planning: each builder names only what matters."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import DoneTask, Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import TaskFacts, WaitingTask
from tests.support.builders import NOON, a_spec, run_id, seconds
from tests.support.forecasts import a_prediction


def an_open_task(
    path: str,
    *after: str,
    run: int = 1,
    state: TaskState | None = None,
    not_before: float | None = None,
    allowed: Sequence[str] | None = None,
    **spec: Any,
) -> OpenTask:
    """READY where it waits for nobody, else WAITING, unless said otherwise. Its class is its path."""
    spec.setdefault("task_class", path)
    return OpenTask(
        facts=TaskFacts(ref=TaskRef(run_id=run_id(run), path=TaskPath(path)), task_class=spec["task_class"]),
        spec=a_spec(path, upstream=tuple(TaskPath(name) for name in after), **spec),
        state=state or (TaskState.WAITING if after else TaskState.READY),
        not_before=None if not_before is None else NOON + seconds(not_before),
        allowed_nodes=None if allowed is None else tuple(NodeName(name) for name in allowed),
    )


def an_open_run(
    *tasks: OpenTask,
    submitted: float = 0,
    policy: str = "balanced",
    strategy: str = "heft",
    done: Mapping[str, DoneTask] | None = None,
    **fields: Any,
) -> OpenRun:
    """The run of these tasks, submitted so many seconds after noon."""
    return OpenRun(
        id=tasks[0].facts.ref.run_id,
        submitted_at=NOON + seconds(submitted),
        policy=policy,
        strategy=strategy,
        tasks=tasks,
        done={TaskPath(path): found for path, found in (done or {}).items()},
        **fields,
    )


def done_on(node: str, *, ago: float = 0, mib: float = 0) -> DoneTask:
    """A task that ended so many seconds before noon and left so much."""
    return DoneTask(
        node=NodeName(node),
        started_at=NOON - seconds(ago + 1),
        ended_at=NOON - seconds(ago),
        output_bytes=round(mib * 1024 * 1024),
    )


def waiting(run: OpenRun, *, ready: float | None = None) -> list[WaitingTask]:
    """The READY tasks of a run as the queue has them."""
    ready_at = run.submitted_at if ready is None else NOON + seconds(ready)
    return [
        WaitingTask(
            ref=task.facts.ref,
            spec=task.spec,
            submitted_at=run.submitted_at,
            ready_at=ready_at,
            priority=run.priority,
            policy=run.policy,
            strategy=run.strategy,
        )
        for task in run.tasks
        if task.state is TaskState.READY
    ]


def lives(
    path: str, node: str, *, run: int = 99, cores: float = 1, memory: int = 0, ends: float = 60
) -> Occupancy:
    """A live attempt that began at noon and is believed to end so many seconds later."""
    return Occupancy(
        ref=TaskRef(run_id=run_id(run), path=TaskPath(path)),
        node=NodeName(node),
        resources=Resources(millicores=round(cores * 1000), memory_mib=memory),
        placed_at=NOON,
        started_at=NOON,
        prediction=a_prediction(ends),
    )
