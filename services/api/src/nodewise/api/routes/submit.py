"""Submissions and cancellations: the two requests that change a run."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from prometheus_client import Counter

from nodewise.api.acceptance import accept, to_wake
from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.requests import SubmitRequest, submit_request
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.schemas import Run
from nodewise.api.submission import Submission, read_submission
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.runs import NewRun, request_cancel
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER

router = APIRouter(tags=["runs"])
_SUBMISSIONS = Counter("nodewise_submissions_total", "Submissions by outcome.", ["outcome"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="Sending the same body under the same key again gives the same run.",
    ),
]


@router.post(
    "/v1/runs",
    status_code=202,
    response_model=Run,
    responses={
        200: {"model": Run, "description": "Submitted before"},
        **problems(400, 409, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SubmitRequest"}}},
        }
    },
)
def submit(
    raw: Annotated[bytes, Depends(json_bytes)],
    services: Wired,
    response: Response,
    idempotency_key: Key = None,
) -> Any:
    """Take a compiled pipeline and run it as soon as its turn comes and a node has room."""
    body = parse_object(raw)
    request = submit_request(body)
    submission = read_submission(
        request,
        body,
        key=idempotency_key,
        settings=services.settings,
    )
    run, created = take(services, submission)
    response.status_code = 202 if created else 200
    response.headers["Location"] = f"/v1/runs/{run['id']}"
    return run


@router.post(
    "/v1/runs/{run_id}/cancel", status_code=202, response_model=Run, responses=problems(404, 409, 503)
)
def cancel(run_id: RunIdPath, services: Wired) -> Any:
    """Ask for the end of a run. Its running tasks are stopped; asking twice is fine."""
    with transaction(services.engine) as connection:
        requested = request_cancel(connection, run_id, now=services.clock())
        run = run_of(connection, run_id)
    if not requested:
        raise Conflict(f"the run has already ended: {run['state']}")
    services.waker.wake(WAKE_RECORDER)
    return run


def take(services: Services, submission: Submission) -> tuple[dict[str, object], bool]:
    """Store a submission, whatever endpoint it came by, and wake who has to look at it next.

    Returns:
        The run, and whether it is new.
    """
    run, new = _stored(services, submission)
    _SUBMISSIONS.labels("accepted" if new else "repeated").inc()
    if new:
        services.waker.wake(to_wake(new))
    return run, new is not None


def _stored(services: Services, submission: Submission) -> tuple[dict[str, object], NewRun | None]:
    """The run of this submission, and what was written for it, if it is new. One transaction: all of it or nothing."""
    with transaction(services.engine) as connection:
        run_id, new = accept(connection, submission, services.settings, now=services.clock())
        return run_of(connection, run_id), new


SCHEMAS = (SubmitRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
