"""Runs of the engine `kubeflow` once they are on their way: the recorder's questions and answers. Writer: recorder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.db.queries.bookings import BookingRequest
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.lifecycle import RunState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.task import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedRun:
    """A run that has not ended, and that KFP has (`confirmed`), or may have since `posted_at`."""

    id: RunId
    state: RunState
    cancel_requested: bool
    confirmed: bool
    posted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLike:
    """What a new sibling of a task is made from. `ordinal` is the next of its run."""

    spec: TaskSpec
    effort_flops: float | None
    input_bytes: float | None
    finaliser: bool
    node: NodeName
    node_class: str
    policy: str
    strategy: str


_FOLLOWED = text("""
SELECT r.id, r.state, r.cancel_requested_at IS NOT NULL AS cancel_requested, k.posted_at,
       k.confirmed_at IS NOT NULL AS confirmed
FROM runs AS r JOIN kfp_submissions AS k ON k.run_id = r.id
WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELING') AND r.engine = 'kubeflow' AND k.refused_at IS NULL
  AND (k.posted_at IS NOT NULL OR k.confirmed_at IS NOT NULL)
ORDER BY r.id
""")

_REFUSED = text("""
SELECT r.id, k.problem_code, k.problem
FROM runs AS r JOIN kfp_submissions AS k ON k.run_id = r.id
WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELING') AND k.refused_at IS NOT NULL
ORDER BY r.id
""")

# Also asked under the lock of the runs, which whoever posts holds when it says that it will.
_NEVER_POSTED = text("""
SELECT r.id
FROM runs AS r LEFT JOIN kfp_submissions AS k ON k.run_id = r.id
WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELING') AND r.engine = 'kubeflow' AND r.cancel_requested_at IS NOT NULL
  AND k.posted_at IS NULL AND k.confirmed_at IS NULL AND k.refused_at IS NULL
ORDER BY r.id
""")

_TASKS = text("""
SELECT t.run_id, t.path, t.state, t.task_class, t.upstream, t.reason_code, t.reason, t.effort_flops, t.input_bytes,
       a.attempt, a.node, a.node_class, a.policy, a.strategy, a.placed_at, a.started_at, n.accelerator, l.capacity_millicores
FROM tasks AS t
LEFT JOIN attempts AS a ON (a.run_id, a.path, a.attempt) = (t.run_id, t.path, t.attempt)
LEFT JOIN nodes AS n ON n.name = a.node
LEFT JOIN node_loads AS l ON l.node = a.node
WHERE t.run_id = ANY(CAST(:run_ids AS uuid[]))
ORDER BY t.run_id, t.ordinal
""")

_PATHS = text("SELECT path FROM tasks WHERE run_id = :run_id")

_LIKE = text("""
SELECT t.path, t.spec, t.effort_flops, t.input_bytes, t.finaliser, a.node, a.node_class, a.policy, a.strategy
FROM tasks AS t JOIN attempts AS a ON (a.run_id, a.path, a.attempt) = (t.run_id, t.path, t.attempt)
WHERE t.run_id = :run_id AND t.path = ANY(:paths)
""")

_COUNT = text("SELECT count(*) FROM tasks WHERE run_id = :run_id")

_CHARACTERS = text("SELECT sum(length(array_to_string(upstream, ''))) FROM tasks WHERE run_id = :run_id")

_SAY = text("""
UPDATE tasks AS t SET reason_code = v.code, reason = v.reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, code text, reason text)
WHERE t.run_id = v.run_id AND t.path = v.path AND t.state IN ('PLACED')
""")

# Where Kubernetes put it is what counts from then on; a node that nobody has told us of stays unnamed here.
_CORRECT = text("""
UPDATE attempts AS a SET node = n.name, node_class = n.node_class
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int, node text)
JOIN nodes AS n ON n.name = v.node
WHERE (a.run_id, a.path, a.attempt) = (v.run_id, v.path, v.attempt) AND a.node <> n.name
""")

_NODE_CLASSES = text("SELECT name, node_class FROM nodes WHERE name = ANY(:names)")

_UNBOOKED = text("""
SELECT a.run_id, a.path, a.attempt, a.node, t.spec
FROM attempts AS a
JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int) USING (run_id, path, attempt)
JOIN tasks AS t ON t.run_id = a.run_id AND t.path = a.path
WHERE a.state = 'RUNNING'
  AND NOT EXISTS (SELECT FROM bookings AS b WHERE (b.run_id, b.path, b.attempt) = (a.run_id, a.path, a.attempt))
ORDER BY a.run_id, a.path, a.attempt
FOR NO KEY UPDATE OF a
""")


def followed_runs(connection: Connection) -> Sequence[FollowedRun]:
    """The runs whose end is to be read from KFP. Costs what has not ended, not what has."""
    return [
        FollowedRun(
            id=RunId(str(row.id)),
            state=RunState(row.state),
            cancel_requested=row.cancel_requested,
            confirmed=row.confirmed,
            posted_at=row.posted_at,
        )
        for row in connection.execute(_FOLLOWED)
    ]


def refused_runs(connection: Connection) -> Mapping[RunId, Reason]:
    """The runs that KFP will never have, and why."""
    return {
        RunId(str(row.id)): Reason(code=ReasonCode(row.problem_code), text=row.problem)
        for row in connection.execute(_REFUSED)
    }


def canceled_before_their_post(connection: Connection) -> Sequence[RunId]:
    """The runs that somebody asked to cancel and that KFP never had, nor will have."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_NEVER_POSTED)]


def tasks_of(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[Row[Any]]:
    """The tasks of these runs, each with its latest attempt."""
    return connection.execute(_TASKS, {"run_ids": list(run_ids)}).all()


def paths_of(connection: Connection, run_id: RunId) -> Sequence[TaskPath]:
    """The paths of the run's tasks."""
    return [TaskPath(path) for (path,) in connection.execute(_PATHS, {"run_id": run_id})]


def tasks_like(
    connection: Connection, run_id: RunId, paths: Iterable[TaskPath]
) -> Mapping[TaskPath, TaskLike]:
    """What siblings of these tasks are made from."""
    return {
        TaskPath(row.path): TaskLike(
            spec=decode(TaskSpec, row.spec),
            effort_flops=row.effort_flops,
            input_bytes=row.input_bytes,
            finaliser=row.finaliser,
            node=NodeName(row.node),
            node_class=row.node_class,
            policy=row.policy,
            strategy=row.strategy,
        )
        for row in connection.execute(_LIKE, {"run_id": run_id, "paths": sorted(paths)})
    }


def task_count(connection: Connection, run_id: RunId) -> int:
    """How many tasks the run has: the ordinal of the next."""
    return int(connection.scalar(_COUNT, {"run_id": run_id}) or 0)


def upstream_characters(connection: Connection, run_id: RunId) -> int:
    """How many characters the names have of all that its tasks wait for."""
    return int(connection.scalar(_CHARACTERS, {"run_id": run_id}) or 0)


def say(connection: Connection, said: Mapping[TaskRef, Reason]) -> None:
    """Let PLACED tasks say why they do not run yet. One statement."""
    rows = [
        {"run_id": ref.run_id, "path": ref.path, "code": why.code.value, "reason": why.text}
        for ref, why in sorted(said.items())
    ]
    if rows:
        connection.execute(_SAY, {"rows": json.dumps(rows)})


def correct_nodes(connection: Connection, seen: Mapping[AttemptKey, NodeName]) -> None:
    """Note where Kubernetes put these attempts, as far as the node is known here."""
    rows = [_identity(key) | {"node": node} for key, node in sorted(seen.items())]
    if rows:
        connection.execute(_CORRECT, {"rows": json.dumps(rows)})


def node_classes(connection: Connection, names: Iterable[NodeName]) -> Mapping[NodeName, str]:
    """The classes of those of these nodes that are known."""
    found = connection.execute(_NODE_CLASSES, {"names": sorted(set(names))})
    return {NodeName(row.name): row.node_class for row in found}


def unbooked(connection: Connection, keys: Iterable[AttemptKey]) -> Sequence[BookingRequest]:
    """The room of those of these attempts that run without a booking. Locks them: none of them ends meanwhile."""
    rows = json.dumps([_identity(key) for key in sorted(keys)])
    return [
        BookingRequest(
            key=AttemptKey(run_id=RunId(str(row.run_id)), path=TaskPath(row.path), attempt=row.attempt),
            node=NodeName(row.node),
            resources=effective_resources(decode(TaskSpec, row.spec)),
        )
        for row in connection.execute(_UNBOOKED, {"rows": rows})
    ]


def _identity(key: AttemptKey) -> dict[str, object]:
    return {"run_id": key.run_id, "path": key.path, "attempt": key.attempt}
