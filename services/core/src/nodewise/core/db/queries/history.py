"""What ran in a period, to be planned over again. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.db.queries.nodes_read import all_nodes
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.task import TaskFacts, TaskSpec

_PERIOD = "r.submitted_at >= :since AND r.submitted_at < :until"

_RUNS = text(f"""
SELECT r.id, r.name, r.submitted_at, r.priority, r.deadline, r.team, r.policy, r.strategy
FROM runs AS r WHERE r.finished_at IS NOT NULL AND {_PERIOD}
ORDER BY r.submitted_at, r.id
""")  # noqa: S608 - constants

_UNDER_WAY = text(f"SELECT count(*) FROM runs AS r WHERE r.finished_at IS NULL AND {_PERIOD}")  # noqa: S608

# A task ran as long as its last attempt did; one that was cancelled or lost has no run time of its own.
_TASKS = text(f"""
SELECT t.run_id, t.path, t.spec, t.task_class, t.effort_flops, t.input_bytes, t.ready_at,
       a.node, a.started_at, a.finished_at, a.predicted_seconds,
       coalesce((SELECT sum(CAST(artifact.value ->> 'size_bytes' AS float8))
                 FROM jsonb_each(t.outputs -> 'artifacts') AS artifact), 0) AS output_bytes
FROM tasks AS t
JOIN runs AS r ON r.id = t.run_id
JOIN attempts AS a ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt
    AND a.state IN ('SUCCEEDED', 'FAILED') AND a.started_at IS NOT NULL
WHERE r.finished_at IS NOT NULL AND {_PERIOD}
ORDER BY t.run_id, t.ordinal
""")  # noqa: S608 - constants

_EDGES = text(f"""
SELECT t.run_id, t.path, t.upstream FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE r.finished_at IS NOT NULL AND {_PERIOD}
""")  # noqa: S608 - constants

_PRESENT = text("""
SELECT name FROM nodes WHERE first_seen_at < :until AND last_seen_at >= :since
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTask:
    """A task that ran until it succeeded or failed: where, from when to when, and what was predicted of it there."""

    facts: TaskFacts
    spec: TaskSpec
    node: NodeName
    ready_at: datetime
    started_at: datetime
    finished_at: datetime
    predicted_seconds: float | None
    output_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that has ended. `tasks` are those that ran, in topological order; `upstream` is of all its tasks."""

    id: RunId
    name: str
    submitted_at: datetime
    priority: int
    deadline: datetime | None
    team: str
    policy: str
    strategy: str
    tasks: tuple[PastTask, ...]
    upstream: dict[TaskPath, tuple[TaskPath, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The runs that were submitted in a period and have ended, oldest first, and the nodes of that time by name.

    `under_way` counts the runs of the period that have not ended.
    """

    nodes: tuple[Node, ...]
    runs: tuple[PastRun, ...]
    under_way: int


def history(connection: Connection, *, since: datetime, until: datetime) -> History:
    """What was submitted from `since` on and before `until`. Five round trips.

    Nodes of that time are those that were seen between the first of these submissions and the last end, and those on
    which something of it ran; they are described as they were last.
    """
    period = {"since": since, "until": until}
    tasks: dict[str, list[PastTask]] = {}
    for row in connection.execute(_TASKS, period):
        tasks.setdefault(str(row.run_id), []).append(_task(row))
    upstream: dict[str, dict[TaskPath, tuple[TaskPath, ...]]] = {}
    for row in connection.execute(_EDGES, period):
        paths = tuple(TaskPath(path) for path in row.upstream)
        upstream.setdefault(str(row.run_id), {})[TaskPath(row.path)] = paths
    runs = tuple(
        _run(row, tasks.get(str(row.id), ()), upstream.get(str(row.id), {}))
        for row in connection.execute(_RUNS, period)
    )
    nodes = _nodes(connection, [run for run in runs if run.tasks])
    return History(nodes=nodes, runs=runs, under_way=int(connection.scalar(_UNDER_WAY, period) or 0))


def _nodes(connection: Connection, runs: Sequence[PastRun]) -> tuple[Node, ...]:
    if not runs:
        return ()
    ran = [task for run in runs for task in run.tasks]
    span = {
        "since": min(run.submitted_at for run in runs),
        "until": max(task.finished_at for task in ran),
    }
    there = {NodeName(row.name) for row in connection.execute(_PRESENT, span)} | {task.node for task in ran}
    return tuple(found.view.node for found in all_nodes(connection) if found.view.name in there)


def _run(row: Row[Any], tasks: Sequence[PastTask], upstream: dict[TaskPath, tuple[TaskPath, ...]]) -> PastRun:
    return PastRun(
        id=RunId(str(row.id)),
        name=row.name,
        submitted_at=row.submitted_at,
        priority=row.priority,
        deadline=row.deadline,
        team=row.team,
        policy=row.policy,
        strategy=row.strategy,
        tasks=tuple(tasks),
        upstream=upstream,
    )


def _task(row: Row[Any]) -> PastTask:
    facts = TaskFacts(
        ref=TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path)),
        task_class=row.task_class,
        effort_flops=row.effort_flops,
        input_bytes=row.input_bytes,
    )
    return PastTask(
        facts=facts,
        spec=decode(TaskSpec, row.spec),
        node=NodeName(row.node),
        ready_at=row.ready_at or row.started_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        predicted_seconds=row.predicted_seconds,
        output_bytes=row.output_bytes,
    )
