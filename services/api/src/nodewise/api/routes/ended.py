"""What may be done with a run that has ended."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection

from nodewise.api.auth.caller import Called, Caller
from nodewise.api.problems import not_found
from nodewise.api.retrying import next_try
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.routes.taking import Key, Traceparent, answered, take_read, taken_or
from nodewise.api.schemas import Run
from nodewise.api.submission import Submission
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.ended_runs import archive_run, stored_run
from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import RunId
from nodewise.core.model.trace import read_traceparent

router = APIRouter(tags=["runs"], prefix="/v1/runs/{run_id}")


@router.post("/retry", status_code=202, response_model=Run, responses=taken_or(404, 409, 422, 503))
def retry(
    run_id: RunIdPath,
    services: Wired,
    caller: Called,
    *,
    idempotency_key: Key = None,
    traceparent: Traceparent = None,
) -> Any:
    """Try a run again that failed or was canceled, as a new run: it waits its turn, and its nodes are chosen anew.

    What ended well is not run again where its result may be reused: as the pipeline says of caching.
    """

    def again(connection: Connection) -> Submission:
        stored = stored_run(connection, run_id, team=caller.only_team)
        if stored is None:
            raise not_found("run", run_id)
        spec = compiled_specs(connection, [stored.spec_digest])[stored.spec_digest]
        submission = next_try(run_id, stored, spec, key=idempotency_key, settings=services.settings)
        return replace(submission, traceparent=read_traceparent(traceparent))

    return answered(take_read(services, again, caller))


@router.post("/archive", response_model=Run, responses=problems(404, 409, 503))
def archive(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """Put a run away that has ended: lists leave it out unless they ask for it. Tables and reports keep it. Twice is fine."""
    return _archived(services, run_id, caller, archived=True)


@router.post("/unarchive", response_model=Run, responses=problems(404, 409, 503))
def unarchive(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """Take it back."""
    return _archived(services, run_id, caller, archived=False)


def _archived(services: Services, run_id: RunId, caller: Caller, *, archived: bool) -> dict[str, object]:
    with transaction(services.engine) as connection:
        now, team = services.clock(), caller.only_team
        done = archive_run(connection, run_id, archived=archived, now=now, team=team)
        run = run_of(connection, run_id, caller)
    if not done:
        raise Conflict(f"the run has not ended: {run['state']}")
    if run["engine"] == KUBEFLOW:
        services.waker.wake(WAKE_RECORDER)
    return run
