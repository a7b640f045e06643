"""Why each task is where it is, or why it is not, and what would change that."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from nodewise.api.auth.caller import Called, Caller
from nodewise.api.explaining.answer import Explainer, Surroundings
from nodewise.api.explaining.parts import Part
from nodewise.api.explaining.pipeline import unmade
from nodewise.api.explaining.schemas import Explanation
from nodewise.api.others import hidden_from
from nodewise.api.problems import not_found
from nodewise.api.queue_part import LongQueue, long_queue
from nodewise.api.requests import ExplainQuery
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.views import Row, task_view
from nodewise.api.wiring import Services, Wired
from nodewise.core.cluster import load_cluster
from nodewise.core.db.engine import snapshot
from nodewise.core.db.queries.pending import pending_of_run, rivals_of_run
from nodewise.core.db.queries.situation import load_running
from nodewise.core.db.queries.tasks_read import attempts_of_run, queued_reasons, tasks_of_run
from nodewise.core.db.queries.window import rest_of
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import RunId, TaskPath

router = APIRouter(tags=["runs"], prefix="/v1/runs")


@router.get("/{run_id}/explain", response_model=Explanation, responses=problems(404, 422, 503))
def explain(
    run_id: RunIdPath, services: Wired, caller: Called, query: Annotated[ExplainQuery, Query()]
) -> Any:
    """Why each task is on its node (what each candidate would have cost), or why it waits and what would change that.

    All rows are of one moment; so is `pending`, but for a reason that says that it is older. `parts` tells why there is no task.
    """
    with snapshot(services.engine) as connection:
        run = run_of(connection, run_id, caller)
        rows = tasks_of_run(connection, run_id)
        shown = [row for row in rows if query.task in (None, row["path"])]
        parts = _parts(connection, services, run, task=query.task, shown=shown)
        if query.task is not None and not shown and not parts:
            raise not_found("task", f"{run_id}/{query.task}")
        attempts, queued = attempts_of_run(connection, run_id), queued_reasons(connection, run_id)
        queue = _queue(connection, services, shown)
        pending = _pending(
            connection, services, caller, rows=_Rows(run=run, tasks=rows, shown=shown), queue=queue
        )
    now = services.clock()
    tasks = [
        {
            **task_view(row, now=now),
            "attempts": [dict(attempt) for attempt in attempts.get(TaskPath(row["path"]), ())],
            "queued_reason": queued.get(TaskPath(row["path"])),
            "pending": pending.get(row["path"]),
        }
        for row in shown
    ]
    return {"run": run, "tasks": tasks, "queue": queue, "parts": [asdict(part) for part in parts]}


def _parts(
    connection: Connection, services: Services, run: Row, *, task: str | None, shown: Sequence[Row]
) -> Sequence[Part]:
    """All; where a task is asked for that was not made, the one that it is in; of one that was left out, who else was."""
    if task is not None and any(row["state"] != TaskState.SKIPPED for row in shown):
        return ()
    found = unmade(connection, run, most=services.settings.max_tasks_per_run)
    if found is None or task is None:
        return found.parts if found is not None else ()
    if shown:
        return [part for part in found.parts if part.state is TaskState.SKIPPED]
    part = found.of(task)
    return () if part is None else (part,)


def _queue(connection: Connection, services: Services, shown: Sequence[Row]) -> LongQueue | None:
    """What is to be said of the queue that one of these waits in."""
    if all(row["state"] != TaskState.READY for row in shown):
        return None
    return long_queue(rest_of(connection, ()), window=services.settings.queue_window)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A run with all its tasks, and those of them that are asked for."""

    run: Row
    tasks: Sequence[Row]
    shown: Sequence[Row]


def _pending(
    connection: Connection, services: Services, caller: Caller, *, rows: _Rows, queue: LongQueue | None
) -> Mapping[str, object]:
    """Of each shown task that has no node: why, and what would change that."""
    run = rows.run
    run_id, asked = RunId(str(run["id"])), {row["path"] for row in rows.shown}
    waiting = [row for row in pending_of_run(connection, run_id) if row["path"] in asked]
    if not waiting or run["finished_at"] is not None:
        return {}
    cluster = load_cluster(
        connection, services.redis, now=services.clock(), staleness=services.settings.staleness
    )
    running = load_running(connection)
    explainer = Explainer(
        Surroundings(
            run=run,
            tasks=rows.tasks,
            cluster=cluster,
            running=running,
            rivals=rivals_of_run(connection, run_id),
            hidden=hidden_from(connection, caller, {one.ref.run_id for one in running}),
            looks=1 if queue is None else queue.looks,
            all_teams=caller.only_team is None,
        )
    )
    return {row["path"]: explainer.pending(row) for row in waiting}
