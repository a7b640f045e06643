"""Questions about tasks, attempts, the queue and events. Who writes them: see the schema."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import RunId, TaskPath

_PREDICTED = """
    a.predicted_seconds, a.predicted_low, a.predicted_high, a.prediction_level, a.prediction_basis,
    a.prediction_samples, a.predicted_memory_mib, a.predicted_memory_low, a.predicted_memory_high
"""

_TASKS = text(f"""
SELECT t.run_id, t.path, t.component, t.kind, t.task_class, t.state, t.reason_code, t.reason, t.attempt, t.failures,
       t.upstream, t.spec -> 'resources' AS resources, t.effort_flops, t.input_bytes, t.expected_node,
       t.expected_start_at, t.expected_end_at, t.ready_at, t.admitted_at, t.started_at, t.finished_at, t.outputs,
       a.node, coalesce(a.strategy, r.strategy) AS strategy, {_PREDICTED}, a.placed_at, a.reason AS why_node,
       f.last_failure
FROM tasks AS t
JOIN runs AS r ON r.id = t.run_id
LEFT JOIN attempts AS a ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt
     AND t.state NOT IN ('WAITING', 'READY', 'ADMITTED')
LEFT JOIN LATERAL (
    SELECT jsonb_build_object(
               'attempt', attempt, 'node', node, 'state', state, 'code', end_code, 'message', end_message
           ) AS last_failure
    FROM attempts WHERE run_id = t.run_id AND path = t.path AND state IN ('FAILED', 'LOST')
    ORDER BY attempt DESC LIMIT 1
) AS f ON true
WHERE t.run_id = :run_id
ORDER BY t.ordinal
""")  # noqa: S608 - constants

_ATTEMPTS = text(f"""
SELECT a.path, a.attempt, a.node, a.state, a.policy, a.strategy, a.reason_code, a.reason, a.candidates, a.more_candidates,
       {_PREDICTED},
       a.placed_at, a.started_at, a.finished_at, a.exit_code, a.end_code, a.end_message, a.peak_memory_mib
FROM attempts AS a WHERE a.run_id = :run_id ORDER BY a.path, a.attempt
""")  # noqa: S608 - constants

_LATEST_ATTEMPT = text("SELECT attempt FROM tasks WHERE run_id = :run_id AND path = :path")

_OUTPUTS = text("SELECT outputs FROM tasks WHERE run_id = :run_id AND path = :path")

_QUEUE_COLUMNS = """
SELECT t.run_id, r.name AS run_name, t.path, t.state, t."position", t.reason_code, t.reason, t.ready_at, r.priority,
       r.policy, r.strategy, t.spec -> 'resources' AS resources
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.state IN ('READY', 'ADMITTED')
"""
_QUEUE_ORDER = """
ORDER BY t."position" NULLS LAST, t.ready_at, t.run_id, t.ordinal
LIMIT :limit
"""
# Tasks that wait are those of open runs, of which there is an index by team.
_OPEN_OF_TEAM = "AND r.team = :team AND r.state IN ('PENDING', 'RUNNING', 'CANCELING')"
_QUEUE = text(_QUEUE_COLUMNS + _QUEUE_ORDER)
_QUEUE_OF_TEAM = text(_QUEUE_COLUMNS + _OPEN_OF_TEAM + _QUEUE_ORDER)
_QUEUE_COUNTS = text("""
SELECT state, count(*) FROM tasks WHERE state IN ('WAITING', 'READY', 'ADMITTED') GROUP BY state
""")
_QUEUE_COUNTS_OF_TEAM = text(f"""
SELECT t.state, count(*) FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.state IN ('WAITING', 'READY', 'ADMITTED') {_OPEN_OF_TEAM} GROUP BY t.state
""")  # noqa: S608 - constants

_QUEUED = text("""
SELECT DISTINCT ON (path) path, reason FROM events WHERE run_id = :run_id AND event = 'inputs_ready' ORDER BY path, id DESC
""")

_EVENTS = text("""
SELECT id, at, run_id, path, attempt, event, from_state, to_state, service, node, reason_code, reason
FROM events
WHERE run_id = :run_id AND id > :after_id AND id <> ALL(CAST(:without AS bigint[]))
ORDER BY id LIMIT :limit
""")


def tasks_of_run(connection: Connection, run_id: RunId) -> Sequence[RowMapping]:
    """The run's tasks in topological order, each with the placement of its latest attempt and the last failure.

    A task that waits again has no placement.
    """
    return connection.execute(_TASKS, {"run_id": run_id}).mappings().all()


def attempts_of_run(connection: Connection, run_id: RunId) -> Mapping[TaskPath, Sequence[RowMapping]]:
    """Every attempt of the run's tasks, first to last."""
    by_path: dict[TaskPath, list[RowMapping]] = {}
    for row in connection.execute(_ATTEMPTS, {"run_id": run_id}).mappings():
        by_path.setdefault(TaskPath(row["path"]), []).append(row)
    return by_path


def queued_reasons(connection: Connection, run_id: RunId) -> Mapping[TaskPath, str]:
    """What was said of each of the run's tasks when its inputs were there: why no earlier result was reused, for example."""
    rows = connection.execute(_QUEUED, {"run_id": run_id})
    return {TaskPath(row.path): row.reason for row in rows if row.reason}


def latest_attempt(connection: Connection, run_id: RunId, path: str) -> int | None:
    """The number of the task's latest attempt, 0 before the first; None: there is no such task."""
    return connection.execute(_LATEST_ATTEMPT, {"run_id": run_id, "path": path}).scalar()


def outputs_of_task(
    connection: Connection, run_id: RunId, path: str
) -> Mapping[str, Mapping[str, object]] | None:
    """What the task left, `parameters` and `artifacts` by name (empty before it ended well); None: no such task."""
    row = connection.execute(_OUTPUTS, {"run_id": run_id, "path": path}).one_or_none()
    return None if row is None else row.outputs or {}


def queued_tasks(connection: Connection, *, team: str | None, limit: int) -> Sequence[RowMapping]:
    """What of that team (None: of all) waits for a node: the admitted in their order, then the ready, longest waiting first."""
    statement = _QUEUE if team is None else _QUEUE_OF_TEAM
    return connection.execute(statement, {"limit": limit, "team": team}).mappings().all()


def queue_counts(connection: Connection, *, team: str | None) -> Mapping[TaskState, int]:
    """How many tasks of that team (None: of all) wait, in each of the three states of waiting."""
    statement = _QUEUE_COUNTS if team is None else _QUEUE_COUNTS_OF_TEAM
    counts = dict.fromkeys((TaskState.WAITING, TaskState.READY, TaskState.ADMITTED), 0)
    counts.update({TaskState(state): count for state, count in connection.execute(statement, {"team": team})})
    return counts


def events_after(
    connection: Connection, run_id: RunId, after_id: int, *, without: Collection[int] = (), limit: int = 500
) -> Sequence[RowMapping]:
    """The run's events with a higher id, except those in `without`, by id."""
    values = {"run_id": run_id, "after_id": after_id, "without": sorted(without), "limit": limit}
    return connection.execute(_EVENTS, values).mappings().all()
