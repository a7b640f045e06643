"""Recurring runs."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import Connection, RowMapping

from nodewise.api.acceptance import prepared
from nodewise.api.account import seen_of
from nodewise.api.auth.caller import Called, Caller
from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.paging import decode_cursor, encode_cursor
from nodewise.api.problems import not_found
from nodewise.api.refusals import REFUSALS
from nodewise.api.routes.documented import json_body, problems
from nodewise.api.routes.lookup import ScheduleIdPath
from nodewise.api.routes.taking import Key, answered, take_read, taken_or
from nodewise.api.scheduling.creation import (
    in_run,
    new_schedule,
    recurring_body,
    recurring_submission,
    submission_in,
)
from nodewise.api.scheduling.requests import ScheduleQuery, ScheduleRequest, schedule_request
from nodewise.api.scheduling.schemas import ScheduleDetail, SchedulePage
from nodewise.api.scheduling.views import schedule_detail, schedule_view
from nodewise.api.schemas import Run
from nodewise.api.submission import Origin, Submission, digest_of
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.schedules import (
    KnownSchedule,
    NewSchedule,
    ScheduleFilter,
    delete_schedule,
    enable_schedule,
    insert_schedule,
    known_schedule,
    schedule_by_id,
    schedule_of,
    schedules_page,
)
from nodewise.core.db.queries.specs import compiled_specs, insert_spec
from nodewise.core.errors import Conflict
from nodewise.core.model.ids import ScheduleId

router = APIRouter(tags=["schedules"], prefix="/v1/schedules")


@router.post(
    "",
    status_code=201,
    response_model=ScheduleDetail,
    responses={
        200: {"model": ScheduleDetail, "description": "Made before"},
        **problems(400, 409, 413, 415, 422, 503),
    },
    openapi_extra=json_body("ScheduleRequest"),
)
def create(
    *,
    raw: Annotated[bytes, Depends(json_bytes)],
    services: Wired,
    caller: Called,
    response: Response,
    idempotency_key: Key = None,
) -> Any:
    """Submit a pipeline again and again. What `run` holds is checked now as `POST /v1/runs` would, and each time anew."""
    body = parse_object(raw)
    request = schedule_request(body)
    submission = submission_in(request, body, caller, settings=services.settings)
    with transaction(services.engine) as connection:
        known = _created_before(connection, submission.team, idempotency_key)
        if known is None:
            new = _checked(connection, services, request, submission, body=body, key=idempotency_key)
            known = insert_schedule(connection, new)
        response.status_code = 201 if known is None else 200
        schedule_id = new.id if known is None else _same(known, digest_of(body))
        schedule = schedule_detail(_row(connection, schedule_id, caller))
    response.headers["Location"] = f"/v1/schedules/{schedule['id']}"
    return schedule


@router.get("", response_model=SchedulePage, responses=problems(422, 503))
def list_schedules(services: Wired, caller: Called, query: Annotated[ScheduleQuery, Query()]) -> Any:
    """Schedules, newest first, page by page."""
    before = decode_cursor(query.cursor) if query.cursor else None
    wanted = ScheduleFilter(
        team=seen_of(query.team, caller),
        name=query.name,
        enabled=query.enabled,
        before=(before[0], ScheduleId(before[1])) if before else None,
    )
    with transaction(services.engine) as connection:
        rows = schedules_page(connection, wanted, limit=query.limit + 1)
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return {
        "items": [schedule_view(row) for row in page],
        "next_cursor": encode_cursor(page[-1]["created_at"], str(page[-1]["id"])) if more else None,
    }


@router.get("/{schedule_id}", response_model=ScheduleDetail, responses=problems(404, 503))
def get_schedule(schedule_id: ScheduleIdPath, services: Wired, caller: Called) -> Any:
    """One schedule, with its next times. Its runs are at `/v1/runs?schedule=`."""
    with transaction(services.engine) as connection:
        return schedule_detail(_row(connection, schedule_id, caller))


@router.delete("/{schedule_id}", status_code=204, responses=problems(404, 503))
def delete(schedule_id: ScheduleIdPath, services: Wired, caller: Called) -> None:
    """Forget a schedule. The runs that it has made go on, and stay."""
    with transaction(services.engine) as connection:
        if not delete_schedule(connection, schedule_id, now=services.clock(), team=caller.only_team):
            raise not_found("schedule", schedule_id)


@router.post("/{schedule_id}/enable", response_model=ScheduleDetail, responses=problems(404, 503))
def enable(schedule_id: ScheduleIdPath, services: Wired, caller: Called) -> Any:
    """Let it go on. Times that passed meanwhile were missed: all of them get their run, or the latest (`catchup`)."""
    return _switched(services, schedule_id, caller, enabled=True)


@router.post("/{schedule_id}/disable", response_model=ScheduleDetail, responses=problems(404, 503))
def disable(schedule_id: ScheduleIdPath, services: Wired, caller: Called) -> Any:
    """Make no more runs until it is enabled again. The runs under way go on."""
    return _switched(services, schedule_id, caller, enabled=False)


@router.post(
    "/{schedule_id}/run",
    status_code=202,
    response_model=Run,
    responses=taken_or(404, 409, 422, 503),
)
def run_now(
    *,
    schedule_id: ScheduleIdPath,
    services: Wired,
    caller: Called,
    idempotency_key: Key = None,
) -> Any:
    """Submit it once more, now: even if it is disabled or has as many runs as it may. It counts among them."""

    def recurring(connection: Connection) -> Submission:
        schedule = schedule_of(_row(connection, schedule_id, caller))
        ir, platforms = compiled_specs(connection, [schedule.spec_digest])[schedule.spec_digest]
        return recurring_submission(
            schedule,
            recurring_body(schedule, ir, platforms),
            Origin(schedule_id=schedule_id),
            key=idempotency_key,
            settings=services.settings,
        )

    return answered(take_read(services, recurring, caller))


def _created_before(connection: Connection, team: str, key: str | None) -> KnownSchedule | None:
    return None if key is None else known_schedule(connection, team, key)


def _checked(
    connection: Connection,
    services: Services,
    request: ScheduleRequest,
    submission: Submission,
    *,
    body: dict[str, Any],
    key: str | None,
) -> NewSchedule:
    """The rows of a schedule, whose submission would be accepted now; its pipeline is stored."""
    now = services.clock()
    schedule = new_schedule(request, body, submission, now=now)
    try:
        run = prepared(connection, submission, services.settings, now=now)
    except REFUSALS as error:
        raise in_run(error) from error
    insert_spec(connection, run.spec_digest, run.ir, run.platforms)
    return NewSchedule(
        id=ScheduleId(str(uuid.uuid4())),
        schedule=schedule,
        created_at=now,
        request_digest=digest_of(body),
        idempotency_key=key,
    )


def _same(known: KnownSchedule, digest: str) -> ScheduleId:
    if known.request_digest != digest:
        raise Conflict(
            f"this Idempotency-Key stands for schedule {known.id}, which was made with another body"
        )
    if known.deleted:
        raise Conflict(f"this Idempotency-Key stands for schedule {known.id}, which was deleted")
    return known.id


def _row(connection: Connection, schedule_id: ScheduleId, caller: Caller) -> RowMapping:
    row = schedule_by_id(connection, schedule_id, team=caller.only_team)
    if row is None:
        raise not_found("schedule", schedule_id)
    return row


def _switched(
    services: Services, schedule_id: ScheduleId, caller: Caller, *, enabled: bool
) -> dict[str, object]:
    with transaction(services.engine) as connection:
        enable_schedule(connection, schedule_id, enabled=enabled, team=caller.only_team)
        return schedule_detail(_row(connection, schedule_id, caller))


SCHEMAS = (ScheduleRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
