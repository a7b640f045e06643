"""From a run that did not succeed to the submission of its next try. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from nodewise.api.requests import submit_request
from nodewise.api.submission import Submission, digest_of, read_submission
from nodewise.core.db.queries.ended_runs import StoredRun
from nodewise.core.errors import Conflict
from nodewise.core.lifecycle import FINAL_RUN_STATES, RunState
from nodewise.core.model.ids import RunId
from nodewise.core.settings import Settings


def next_try(
    run_id: RunId,
    stored: StoredRun,
    spec: tuple[Mapping[str, object], Mapping[str, object]],
    *,
    key: str | None,
    settings: Settings,
) -> Submission:
    """The same once more: pipeline (`spec` is its IR and platforms), parameters, names, places in the queue, engine.

    A deadline that its submission named is not taken over; one that its pipeline names counts anew.

    Raises:
        Conflict: It has not ended, or it has succeeded.
        Problem, InvalidPipeline: A later release than the one that stored it refuses it.
    """
    _check(stored.state)
    ir, platforms = spec
    body = {
        "pipeline_spec": ir,
        "platform_spec": {"platforms": platforms},
        "parameters": {name: value for name, value in stored.parameters.items() if value is not None},
        "name": stored.name,
        "labels": stored.labels,
        "team": stored.team,
        "priority": stored.priority,
        "policy": stored.policy,
        "strategy": stored.strategy,
        "engine": stored.engine,
        "cache": None if stored.caching else False,
    }
    submission = read_submission(submit_request(body), body, key=key, settings=settings)
    return replace(submission, retry_of=run_id, digest=digest_of({"retry_of": run_id, **body}))


def _check(state: RunState) -> None:
    if state not in FINAL_RUN_STATES:
        raise Conflict(f"the run has not ended: {state.value}; cancel it first")
    if state is RunState.SUCCEEDED:
        raise Conflict("the run has succeeded; submit it again for another one")
