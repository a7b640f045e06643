"""Submissions and cancellations: the two requests that change a run."""

from dataclasses import replace
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends
from sqlalchemy.exc import SQLAlchemyError

from nodewise.api.account import on_account
from nodewise.api.auth.caller import Called
from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.requests import SubmitRequest, submit_request
from nodewise.api.routes.documented import json_body, problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.routes.taking import Key, Traceparent, submitted, take, taken_or
from nodewise.api.schemas import Run
from nodewise.api.submission import Submission, read_submission
from nodewise.api.submitted_schemas import SubmittedRun
from nodewise.api.unfit import Unfit, unfit_now
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.runs import request_cancel
from nodewise.core.errors import Conflict, NodewiseError
from nodewise.core.messages import WAKE_RECORDER
from nodewise.core.model.trace import read_traceparent

router = APIRouter(tags=["runs"])
_log = structlog.get_logger()


@router.post(
    "/v1/runs",
    status_code=202,
    response_model=SubmittedRun,
    responses=taken_or(400, 409, 413, 415, 422, 503, model=SubmittedRun),
    openapi_extra=json_body("SubmitRequest"),
)
def submit(
    *,
    raw: Annotated[bytes, Depends(json_bytes)],
    services: Wired,
    caller: Called,
    idempotency_key: Key = None,
    traceparent: Traceparent = None,
) -> Any:
    """Take a compiled pipeline and run it as soon as its turn comes and a node has room.

    Tasks that no node can take as the cluster is now are told of in `findings`; the run is taken all the same.
    """
    body = parse_object(raw)
    request = submit_request(body)
    submission = read_submission(
        request,
        body,
        key=idempotency_key,
        settings=services.settings,
    )
    traced = replace(submission, traceparent=read_traceparent(traceparent))
    taken = take(services, on_account(traced, caller), caller)
    return submitted(taken, _findings(services, submission))


def _findings(services: Services, submission: Submission) -> list[Unfit] | None:
    """None: the run is taken, so what goes wrong here is no failure of the request.

    A data set that was registered anew a moment ago may have figures that nothing can be estimated from.
    """
    try:
        return unfit_now(submission, services.engine, services.nodes)
    except (SQLAlchemyError, NodewiseError, ValueError, OverflowError) as error:
        _log.warning("no findings for a submission", error=str(error).split("\n", maxsplit=1)[0])
        return None


@router.post(
    "/v1/runs/{run_id}/cancel", status_code=202, response_model=Run, responses=problems(404, 409, 503)
)
def cancel(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """Ask for the end of a run. Its running tasks are stopped; asking twice is fine."""
    with transaction(services.engine) as connection:
        requested = request_cancel(connection, run_id, now=services.clock(), team=caller.only_team)
        run = run_of(connection, run_id, caller)
    if not requested:
        raise Conflict(f"the run has already ended: {run['state']}")
    services.waker.wake(WAKE_RECORDER)
    return run


SCHEMAS = (SubmitRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
