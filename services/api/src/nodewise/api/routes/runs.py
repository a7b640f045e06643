"""What is known of runs."""

import threading
from collections.abc import Collection, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from nodewise.api.account import seen_of
from nodewise.api.auth.caller import Called, Caller
from nodewise.api.paging import decode_cursor, encode_cursor
from nodewise.api.problems import Problem, invalid, not_found
from nodewise.api.requests import RunQuery
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.schemas import Run, RunPage, TaskList
from nodewise.api.stream import event_stream
from nodewise.api.views import Row, run_view, task_view
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.runs import RunFilter, run_by_id, runs_page, task_counts
from nodewise.core.db.queries.tasks_read import events_after, latest_attempt, tasks_of_run
from nodewise.core.errors import Conflict
from nodewise.core.lifecycle import FINAL_RUN_STATES, RunState
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import AttemptKey, RunId, ScheduleId, TaskPath
from nodewise.core.store import log_key

router = APIRouter(tags=["runs"], prefix="/v1/runs")

_LARGEST_EVENT_ID = 2**63 - 1


@router.get("", response_model=RunPage, responses=problems(422, 503))
def list_runs(services: Wired, caller: Called, query: Annotated[RunQuery, Query()]) -> Any:
    """Runs, newest first, page by page."""
    wanted = RunFilter(
        state=query.state,
        team=seen_of(query.team, caller),
        labels=_labels(query.label),
        schedule_id=ScheduleId(str(query.schedule)) if query.schedule else None,
        archived=query.archived,
        before=decode_cursor(query.cursor) if query.cursor else None,
    )
    with transaction(services.engine) as connection:
        rows = runs_page(connection, wanted, limit=query.limit + 1)
        page = rows[: query.limit]
        counts = task_counts(connection, [RunId(str(row["id"])) for row in page])
    return {
        "items": [run_view(row, counts[RunId(str(row["id"]))]) for row in page],
        "next_cursor": _cursor_behind(page) if len(rows) > query.limit else None,
    }


@router.get("/{run_id}", response_model=Run, responses=problems(404, 503))
def get_run(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """One run."""
    with transaction(services.engine) as connection:
        return run_of(connection, run_id, caller)


@router.get("/{run_id}/tasks", response_model=TaskList, responses=problems(404, 503))
def get_tasks(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """The run's tasks in topological order, each with its latest placement."""
    with transaction(services.engine) as connection:
        run_of(connection, run_id, caller)
        rows = tasks_of_run(connection, run_id)
    return {"items": [task_view(row, now=services.clock()) for row in rows]}


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(404, 422, 429, 503)},
)
async def get_events(
    run_id: RunIdPath,
    services: Wired,
    caller: Called,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """The run's events as they happen (server-sent events), until its last one. Resumes after Last-Event-ID.

    They end, too, when the key that was used is revoked or expires.
    """
    after_id, who = _event_id(last_event_id), caller.key_id or caller.name
    if not services.streams.has_room(who):
        detail = f"this API key has {services.streams.most} streams of events open, and may have no more: close one first"
        raise Problem(status=429, kind="too-many-streams", detail=detail, headers={"Retry-After": "5"})
    state = await run_in_threadpool(_state_of, services, run_id, caller)

    ended = threading.Event()

    async def fetch(after: int, without: Collection[int]) -> Sequence[Row]:
        return await run_in_threadpool(read, after, without)

    def read(after: int, without: Collection[int]) -> Sequence[Row]:
        if services.guard.still_holds(caller, services.engine, now=services.clock()):
            return _events(services, run_id, after=after, without=without)
        ended.set()
        return ()

    stream = event_stream(
        fetch,
        after_id=after_id,
        ended=state if state in FINAL_RUN_STATES else None,
        stopping=lambda: services.stopping.is_set() or ended.is_set(),
    )
    stream = services.streams.counted(who, stream)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get(
    "/{run_id}/tasks/{path}/logs", response_class=PlainTextResponse, responses=problems(404, 409, 422, 503)
)
def get_logs(
    *,
    run_id: RunIdPath,
    path: str,
    services: Wired,
    caller: Called,
    attempt: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """What an attempt wrote, by default the latest one; empty when it has written nothing yet."""
    with transaction(services.engine) as connection:
        latest = latest_attempt(connection, run_id, path)
        run = run_by_id(connection, run_id, team=caller.only_team)
    if latest is None or run is None:
        raise not_found("task", f"{run_id}/{path[:200]}")
    if run["engine"] == KUBEFLOW:
        raise Conflict("the logs of this run are with Kubeflow Pipelines, not here")
    if attempt is not None and attempt > latest:
        raise not_found("attempt", f"{run_id}/{path}#{attempt}")
    if latest == 0:
        return PlainTextResponse("")
    key = AttemptKey(run_id=run_id, path=TaskPath(path), attempt=attempt or latest)
    return PlainTextResponse(services.store.read_key(log_key(key)) or b"")


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon or not key:
            raise invalid("query.label", f"must look like key:value, got {pair[:100]!r}")
        labels[key] = value
    return labels


def _cursor_behind(page: Sequence[Row]) -> str:
    return encode_cursor(page[-1]["submitted_at"], str(page[-1]["id"]))


def _event_id(text: str | None) -> int:
    if text is None or not text.strip():
        return 0
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or int(digits) > _LARGEST_EVENT_ID:
        raise invalid("header.Last-Event-ID", "must be the id of an event of this stream")
    return int(digits)


def _state_of(services: Services, run_id: RunId, caller: Caller) -> RunState:
    with transaction(services.engine) as connection:
        return RunState(str(run_of(connection, run_id, caller)["state"]))


def _events(services: Services, run_id: RunId, *, after: int, without: Collection[int]) -> Sequence[Row]:
    with transaction(services.engine) as connection:
        return events_after(connection, run_id, after, without=without)
