"""How a submission becomes an answer, whatever endpoint it came by: a body, a form, a schedule, an earlier run."""

import collections
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Header, Response
from prometheus_client import Counter
from pydantic import TypeAdapter
from sqlalchemy import Connection

from nodewise.api.acceptance import (
    Written,
    accept,
    is_counted,
    prepared,
    prepared_alone,
    same_run,
    to_wake,
)
from nodewise.api.auth.caller import Caller
from nodewise.api.refusals import REFUSALS
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import run_of
from nodewise.api.schemas import Run
from nodewise.api.submission import Submission
from nodewise.api.submitted_schemas import SubmittedRun
from nodewise.api.unfit import Unfit
from nodewise.api.views import run_view
from nodewise.api.wiring import Services
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.submissions import KnownSubmission, NewRun, known_submission, standing_for
from nodewise.core.model.ids import RunId

_SUBMISSIONS = Counter("nodewise_submissions_total", "Submissions by outcome.", ["outcome"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="Sending the same body under the same key again gives the same run.",
    ),
]
Traceparent = Annotated[
    str | None,
    Header(
        alias="traceparent",
        description="W3C Trace Context: the trace that the run and its tasks are to be a part of; one that is malformed counts for nothing.",
    ),
]
Taken = tuple[dict[str, object], bool]
"""A run, and whether it is new."""


def taken_or(*statuses: int, model: type[Run] = Run) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that makes runs and may refuse with these."""
    return {200: {"model": model, "description": "Submitted before"}, **problems(*statuses)}


def take(services: Services, submission: Submission, caller: Caller) -> Taken:
    """Store a submission and wake who has to look at it next.

    Raises:
        One of `refusals.REFUSALS`; then nothing was written.
    """
    if is_counted(submission, services.settings):
        return take_read(services, lambda _: submission, caller)
    try:
        run = _prepared(services, submission)
    except REFUSALS:
        known = _known(services, submission)
        if known is None:
            raise
        # A repetition succeeds even if, say, its deadline has passed since.
        return _repeated(services, same_run(submission, known), caller)
    row = services.intake.write(run)
    if row is None:
        with transaction(services.engine) as connection:
            known = standing_for(connection, run)
        return _repeated(services, same_run(submission, known), caller)
    _SUBMISSIONS.labels("accepted").inc()
    return _as_written(Written(run=run, row=row)), True


def _prepared(services: Services, submission: Submission) -> NewRun:
    settings, now = services.settings, services.clock()
    alone = prepared_alone(submission, settings, now=now)
    if alone is not None:
        return alone
    with transaction(services.engine) as connection:
        return prepared(connection, submission, settings, now=now)


def _known(services: Services, submission: Submission) -> KnownSubmission | None:
    if submission.idempotency_key is None:
        return None
    with transaction(services.engine) as connection:
        return known_submission(connection, submission.team, submission.idempotency_key)


def _repeated(services: Services, run_id: RunId, caller: Caller) -> Taken:
    with transaction(services.engine) as connection:
        run = run_of(connection, run_id, caller)
    _SUBMISSIONS.labels("repeated").inc()
    return run, False


def take_read(services: Services, read: Callable[[Connection], Submission], caller: Caller) -> Taken:
    """The same of a submission that is made of rows. One transaction from there on: all of it or nothing."""
    with transaction(services.engine) as connection:
        submission = read(connection)
        taken = accept(connection, submission, services.settings, now=services.clock())
        new = taken.new
        run = _as_written(new) if new else run_of(connection, taken.run_id, caller)
    _SUBMISSIONS.labels("accepted" if new else "repeated").inc()
    if new:
        services.waker.wake(to_wake(new.run))
    return run, new is not None


def _as_written(new: Written) -> dict[str, object]:
    """What `run_of` would read, without asking for what was just written."""
    return run_view(new.row, collections.Counter(task.state for task in new.run.tasks))


_RUN = TypeAdapter(Run)
_SUBMITTED = TypeAdapter(SubmittedRun)


def answered(taken: Taken) -> Response:
    """202 for a new run, 200 for one that was there; with its address. Written by pydantic at once, which is quicker."""
    run, _ = taken
    return _response(_RUN.dump_json(_RUN.validate_python(run), by_alias=True), taken)


def submitted(taken: Taken, findings: Sequence[Unfit] | None) -> Response:
    """The same with what is to be said of the run."""
    told = None if findings is None else [asdict(found) for found in findings]
    body = {**taken[0], "findings": told}
    return _response(_SUBMITTED.dump_json(_SUBMITTED.validate_python(body), by_alias=True), taken)


def _response(content: bytes, taken: Taken) -> Response:
    run, new = taken
    return Response(
        content,
        status_code=202 if new else 200,
        headers={"Location": f"/v1/runs/{run['id']}"},
        media_type="application/json",
    )
