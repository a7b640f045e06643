"""The open runs as planning sees them, and what holds room meanwhile. Reads only."""

import json
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.db.queries.queue import allowed_nodes
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.ir.graph import topological_order
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import DoneTask, Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import TaskFacts, TaskSpec

_OPEN = frozenset(
    {TaskState.WAITING, TaskState.READY, TaskState.ADMITTED, TaskState.PLACED, TaskState.RUNNING}
)

_NOT_WELL = frozenset({TaskState.FAILED, TaskState.CANCELED})

_RUNS = text("""
SELECT id, submitted_at, policy, strategy, priority, deadline, team, cancel_requested_at IS NOT NULL AS canceling FROM runs
WHERE state IN ('PENDING', 'RUNNING', 'CANCELING') AND strategy = ANY(:strategies)
  AND NOT EXISTS (SELECT FROM kfp_submissions AS k WHERE k.run_id = runs.id)
  AND (CAST(:run_ids AS uuid[]) IS NULL OR id = ANY(CAST(:run_ids AS uuid[])))
ORDER BY submitted_at, id
""")

# Without the specs: they hardly ever change, so only those that are new are asked for. A task that ended without a word of
# its start began, as far as anybody knows, when it was placed.
_TASKS = text("""
SELECT t.run_id, t.path, t.state, t.finaliser, t.task_class, t.effort_flops, t.input_bytes, t.not_before, t.allowed_nodes, t.upstream, t.resized,
       a.node, coalesce(a.started_at, a.placed_at) AS started_at, a.finished_at,
       CASE WHEN t.state = 'SUCCEEDED' THEN (
           SELECT sum(CAST(artifact.value ->> 'size_bytes' AS numeric))
           FROM jsonb_each(t.outputs -> 'artifacts') AS artifact) END AS output_bytes
FROM tasks AS t
LEFT JOIN attempts AS a
    ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt AND a.state = 'SUCCEEDED'
WHERE t.run_id = ANY(CAST(:run_ids AS uuid[]))
ORDER BY t.run_id, t.ordinal
""")

_SPECS = text("""
SELECT t.run_id, t.path, t.spec
FROM tasks AS t JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text) USING (run_id, path)
""")

_RUNNING = text("""
SELECT a.run_id, a.path, a.node, a.placed_at, a.started_at, a.predicted_seconds, a.predicted_low, a.predicted_high,
       a.prediction_level, a.prediction_basis, a.prediction_samples, b.millicores, b.memory_mib, b.gpus
FROM attempts AS a JOIN bookings AS b USING (run_id, path, attempt)
WHERE a.state IN ('PLACED', 'RUNNING') AND b.released_at IS NULL
ORDER BY a.run_id, a.path
""")

_BOOKED = text("""
SELECT r.team, sum(b.millicores)::bigint AS millicores, sum(b.memory_mib)::bigint AS memory_mib,
       sum(b.gpus)::bigint AS gpus
FROM bookings AS b JOIN runs AS r ON r.id = b.run_id
WHERE b.released_at IS NULL
GROUP BY r.team
""")


def load_open_runs(
    connection: Connection,
    strategies: Collection[str],
    specs: MutableMapping[TaskRef, TaskSpec],
    *,
    among: Sequence[RunId] | None = None,
) -> tuple[OpenRun, ...]:
    """The runs of these strategies that have not ended, oldest first. Three round trips.

    What can never run any more, because something before it failed, is left out: the recorder will say so. Of a run that is being
    cancelled there are only the exit tasks whose turn has come; without any it is left out. A run that was bound early as a whole
    is left out, too: nothing of it is left to plan.

    Args:
        connection: Of a transaction that sees one moment.
        strategies: Names of planners.
        specs: Specs decoded in earlier calls; kept in step with what is open.
        among: Only these runs; None: all.
    """
    values = {"strategies": sorted(strategies), "run_ids": None if among is None else list(among)}
    runs = connection.execute(_RUNS, values).all()
    if not runs:
        specs.clear()
        return ()
    rows: dict[object, list[tuple[TaskRef, Row[Any]]]] = {run.id: [] for run in runs}
    for row in connection.execute(_TASKS, {"run_ids": list(rows)}):
        rows[row.run_id].append((_ref(row), row))
    _refresh(connection, specs, (pair for of_run in rows.values() for pair in of_run))
    found = (_open_run(run, rows[run.id], specs) for run in runs)
    canceling = {RunId(str(run.id)) for run in runs if run.canceling}
    return tuple(run for run in found if run.tasks or run.id not in canceling)


def load_running(connection: Connection) -> tuple[Occupancy, ...]:
    """Every live attempt that holds room, with what was believed of it when it was placed."""
    return tuple(
        Occupancy(
            ref=_ref(row),
            node=NodeName(row.node),
            resources=_resources(row),
            placed_at=row.placed_at,
            started_at=row.started_at,
            prediction=_prediction(row),
        )
        for row in connection.execute(_RUNNING)
    )


def booked_by_team(connection: Connection) -> Mapping[str, Resources]:
    """What the live tasks of each team hold."""
    return {row.team: _resources(row) for row in connection.execute(_BOOKED)}


def _refresh(
    connection: Connection,
    specs: MutableMapping[TaskRef, TaskSpec],
    rows: Iterable[tuple[TaskRef, Row[Any]]],
) -> None:
    pairs = [(ref, row) for ref, row in rows if row.state in _OPEN]
    wanted = {ref for ref, _ in pairs}
    changed = {ref for ref, row in pairs if row.resized}
    for ref in specs.keys() - (wanted - changed):
        del specs[ref]
    missing = [{"run_id": ref.run_id, "path": ref.path} for ref in wanted - specs.keys()]
    if missing:
        for row in connection.execute(_SPECS, {"rows": json.dumps(missing)}):
            specs[_ref(row)] = decode(TaskSpec, row.spec)


def _open_run(
    run: Row[Any], rows: Sequence[tuple[TaskRef, Row[Any]]], specs: Mapping[TaskRef, TaskSpec]
) -> OpenRun:
    tasks: list[OpenTask] = []
    done: dict[TaskPath, DoneTask] = {}
    ended, lost = _ended(rows)
    for ref, row in _ordered(rows):
        state = TaskState(row.state)
        if state is TaskState.SUCCEEDED and row.node is not None:
            done[ref.path] = _done(row)
        elif state is TaskState.WAITING and not lost.isdisjoint(row.upstream):
            lost.add(ref.path)
        elif state in _OPEN and (not run.canceling or _goes_on(row)):
            tasks.append(_open_task(ref, row, specs[ref], ended=ended))
    return OpenRun(
        id=RunId(str(run.id)),
        submitted_at=run.submitted_at,
        policy=run.policy,
        strategy=run.strategy,
        priority=run.priority,
        deadline=run.deadline,
        team=run.team,
        tasks=tuple(tasks),
        done=done,
    )


def _goes_on(row: Row[Any]) -> bool:
    """Whether the task of a run that is being cancelled runs nevertheless."""
    return bool(row.finaliser) and row.state != TaskState.WAITING


def _ended(rows: Sequence[tuple[TaskRef, Row[Any]]]) -> tuple[set[str], set[str]]:
    """Who has ended without leaving anything on a node, so that nobody waits for it; and who of them did not end well."""
    ended = {ref.path for ref, row in rows if row.state not in _OPEN and row.node is None}
    lost = {ref.path for ref, row in rows if row.state in _NOT_WELL}
    return set(ended), set(lost)


def _ordered(rows: Sequence[tuple[TaskRef, Row[Any]]]) -> Sequence[tuple[TaskRef, Row[Any]]]:
    """In topological order: a task that appeared while the run went on may be upstream of an older one."""
    seen: set[str] = set()
    by_path = {ref.path: (ref, row) for ref, row in rows}
    for ref, row in rows:
        if any(path not in seen and path in by_path for path in row.upstream):
            upstream: dict[str, list[str]] = {
                path: [up for up in row.upstream if up in by_path] for path, (_, row) in by_path.items()
            }
            return [by_path[TaskPath(path)] for path in topological_order(upstream)]
        seen.add(ref.path)
    return rows


def _open_task(ref: TaskRef, row: Row[Any], spec: TaskSpec, *, ended: Collection[str]) -> OpenTask:
    upstream = tuple(TaskPath(path) for path in row.upstream if path not in ended)
    facts = TaskFacts(
        ref=ref,
        task_class=row.task_class,
        effort_flops=row.effort_flops,
        input_bytes=row.input_bytes,
    )
    return OpenTask(
        facts=facts,
        spec=spec if spec.upstream == upstream else replace(spec, upstream=upstream),
        state=TaskState(row.state),
        not_before=row.not_before,
        allowed_nodes=allowed_nodes(row),
    )


def _done(row: Row[Any]) -> DoneTask:
    return DoneTask(
        node=NodeName(row.node),
        started_at=row.started_at,
        ended_at=row.finished_at,
        output_bytes=int(row.output_bytes or 0),
    )


def _ref(row: Row[Any]) -> TaskRef:
    return TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path))


def _resources(row: Row[Any]) -> Resources:
    return Resources(millicores=row.millicores, memory_mib=row.memory_mib, gpus=row.gpus)


def _prediction(row: Row[Any]) -> Prediction | None:
    if row.predicted_low is None or row.predicted_high is None:
        return None
    return Prediction(
        median_seconds=row.predicted_seconds,
        low=row.predicted_low,
        high=row.predicted_high,
        level=row.prediction_level,
        basis=Basis(row.prediction_basis),
        samples=row.prediction_samples,
    )
