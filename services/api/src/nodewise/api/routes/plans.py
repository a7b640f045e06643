"""What would become of a run, asked before it is submitted."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from nodewise.api.account import on_account
from nodewise.api.auth.caller import Called, Caller
from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.choice import choose
from nodewise.api.forecasting.forecast import forecast
from nodewise.api.forecasting.question import Question, Rules, hypothetical
from nodewise.api.forecasting.schemas import Plan
from nodewise.api.forecasting.views import plan_view
from nodewise.api.others import hidden_from
from nodewise.api.requests import submit_request
from nodewise.api.routes.documented import json_body, problems
from nodewise.api.submission import Submission, new_run, outlined_tasks, read_submission
from nodewise.api.wiring import Services, Wired
from nodewise.core import plugins
from nodewise.core.cluster import load_cluster
from nodewise.core.db.engine import snapshot
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.situation import load_open_runs, load_running
from nodewise.core.db.queries.window import rest_of, window_of

router = APIRouter(tags=["runs"])

_HORIZON = 10_000
"""Tasks of others that are planned before it at most; more than the scheduler looks ahead at a time."""

_SEARCH_SECONDS = 0.25
"""For the search of a better plan. The scheduler searches longer, and again in every look: what is said here may end later than what will happen."""

_SEED = 0
"""Equal questions get equal answers, as far as the time allowed suffices."""


@router.post(
    "/v1/plans",
    response_model=Plan,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra=json_body("SubmitRequest"),
)
async def plan(raw: Annotated[bytes, Depends(json_bytes)], services: Wired, caller: Called) -> Any:
    """Say where and when each task of this submission would run, on today's queue. Takes what `/v1/runs` takes; stores nothing."""
    # Planning is bound by the processor: few at a time, and never on the thread that serves everybody else.
    return await to_thread.run_sync(partial(_answer, services, raw, caller), limiter=services.planning)


def _answer(services: Services, raw: bytes, caller: Caller) -> dict[str, object]:
    body = parse_object(raw)
    request = submit_request(body)
    submission = read_submission(
        request,
        body,
        key=None,
        settings=services.settings,
    )
    asked = _question(services, on_account(submission, caller), caller)
    return plan_view(forecast(asked), asked)


def _question(services: Services, submission: Submission, caller: Caller) -> Question:
    now, settings = services.clock(), services.settings
    with snapshot(services.engine) as connection:
        request = submission.request
        choice = choose(request.policy, request.strategy, settings)
        registered = datasets_named(connection, submission.dataset_names())
        facts = {name: row.facts for name, row in registered.items()}
        run, tasks = new_run(submission, choice, facts, now=now), outlined_tasks(submission, facts)
        names = {*plugins.strategies(), *plugins.planners()}
        window = window_of(connection, settings.queue_window, after=None)
        among = None if window is None else window.runs
        runs, running = load_open_runs(connection, names, {}, among=among), load_running(connection)
        others = {run.id for run in runs} | {one.ref.run_id for one in running}
        return Question(
            run=hypothetical(run, tasks),
            cluster=load_cluster(connection, services.redis, now=now, staleness=settings.staleness),
            runs=runs,
            running=running,
            hidden=hidden_from(connection, caller, others),
            beyond=None if among is None else rest_of(connection, among),
            predict=services.beliefs.predict(connection),
            rules=_rules(services, tasks=len(tasks)),
            rng=Random(_SEED),  # noqa: S311 - chance for a search, not a secret
            out_of_time=_deadline(min(settings.planning_seconds, _SEARCH_SECONDS)),
        )


def _rules(services: Services, *, tasks: int) -> Rules:
    settings = services.settings
    return Rules(
        policies=plugins.policies(),
        planners=plugins.planners(),
        objective=settings.objective,
        link_mib_per_s=settings.link_mib_per_s,
        ageing=timedelta(seconds=settings.ageing_seconds),
        horizon=max(_HORIZON, settings.planning_horizon) + tasks,
    )


def _deadline(seconds: float) -> Callable[[], bool]:
    """Counts from the first time that it is asked: what came before is not planning."""
    end: list[float] = []

    def out_of_time() -> bool:
        if not end:
            end.append(time.monotonic() + seconds)
        return time.monotonic() >= end[0]

    return out_of_time
