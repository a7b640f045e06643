"""Submissions and cancellations: the two requests that change a run."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from prometheus_client import Counter

from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.choice import choose
from nodewise.api.requests import SubmitRequest, submit_request
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.schemas import Run
from nodewise.api.submission import Submission, first_container, new_run, read_submission, without_runtime
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.nodes_read import any_container_runtime
from nodewise.core.db.queries.runs import (
    KnownSubmission,
    NewRun,
    insert_run,
    known_submission,
    request_cancel,
)
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.model.ids import RunId

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
    submission = read_submission(
        submit_request(body), body, key=idempotency_key, max_tasks=services.settings.max_tasks_per_run
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
        services.waker.wake(WAKE_SCHEDULER if new.settled else WAKE_RECORDER)
    return run, new is not None


def _stored(services: Services, submission: Submission) -> tuple[dict[str, object], NewRun | None]:
    """The run of this submission, and what was written for it, if it is new. One transaction: all of it or nothing."""
    with transaction(services.engine) as connection:
        if submission.idempotency_key is not None:
            # Looked up before the rest is checked: a repetition succeeds even if, say, its deadline has passed since.
            known = known_submission(connection, submission.team, submission.idempotency_key)
            if known is not None:
                return run_of(connection, _same(submission, known)), None
        container = first_container(submission)
        if container is not None and not any_container_runtime(connection):
            raise without_runtime(container)
        request = submission.request
        choice = choose(request.policy, request.strategy, services.settings)
        registered = datasets_named(connection, submission.dataset_names())
        facts = {name: row.facts for name, row in registered.items()}
        run = new_run(submission, choice, facts, now=services.clock())
        lost_race_to = insert_run(connection, run)
        if lost_race_to is not None:
            return run_of(connection, _same(submission, lost_race_to)), None
        return run_of(connection, run.id), run


def _same(submission: Submission, known: KnownSubmission) -> RunId:
    if known.request_digest != submission.digest:
        raise Conflict(
            f"Idempotency-Key {submission.idempotency_key!r} of team {submission.team!r} stands for run "
            f"{known.run_id}, which was submitted with another body"
        )
    return known.run_id


SCHEMAS = (SubmitRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
