"""How a run is written, whoever asks for it: a client now, or a schedule whose time has come."""

from datetime import datetime

from sqlalchemy import Connection

from nodewise.api.choice import choose
from nodewise.api.problems import Problem
from nodewise.api.submission import Submission, first_container, new_run, without_runtime
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.nodes_read import any_container_runtime
from nodewise.core.db.queries.quotas import lock_queued_runs
from nodewise.core.db.queries.runs import KnownSubmission, NewRun, insert_run, known_submission
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.model.ids import RunId
from nodewise.core.model.quota import quota_of
from nodewise.core.settings import Settings


def prepared(connection: Connection, submission: Submission, settings: Settings, *, now: datetime) -> NewRun:
    """The rows of a submission, checked against what is registered now; nothing is written.

    Raises:
        One of `refusals.REFUSALS`.
    """
    container = first_container(submission)
    if container is not None and not any_container_runtime(connection):
        raise without_runtime(container)
    request = submission.request
    choice = choose(request.policy, request.strategy, settings)
    registered = datasets_named(connection, submission.dataset_names())
    facts = {name: row.facts for name, row in registered.items()}
    return new_run(submission, choice, facts, now=now)


def accept(
    connection: Connection, submission: Submission, settings: Settings, *, now: datetime
) -> tuple[RunId, NewRun | None]:
    """Write a submission in the caller's transaction.

    Returns:
        The id of its run, and what was written; None where the run was there already.

    Raises:
        One of `refusals.REFUSALS`; then nothing was written.
    """
    if submission.idempotency_key is not None:
        # Looked up before the rest is checked: a repetition succeeds even if, say, its deadline has passed since.
        known = known_submission(connection, submission.team, submission.idempotency_key)
        if known is not None:
            return _same(submission, known), None
    run = prepared(connection, submission, settings, now=now)
    _check_quota(connection, run.team, settings)
    lost_race_to = insert_run(connection, run)
    if lost_race_to is not None:
        return _same(submission, lost_race_to), None
    return run.id, run


def _check_quota(connection: Connection, team: str, settings: Settings) -> None:
    """Raises Problem, 409: the team has as many runs that have not begun as it may."""
    limit = quota_of(team, settings.team_quotas).queued_runs
    if limit is None:
        return
    queued = lock_queued_runs(connection, team)
    if queued >= limit:
        detail = (
            f"team {team!r} has {queued} runs that have not begun, and its quota queued_runs is {limit}: "
            "submit again when one of them has begun or was canceled"
        )
        raise Problem(status=409, kind="quota-exceeded", detail=detail)


def to_wake(run: NewRun) -> str:
    """Who has to look at a new run first."""
    return WAKE_SCHEDULER if run.settled else WAKE_RECORDER


def _same(submission: Submission, known: KnownSubmission) -> RunId:
    if submission.idempotency_key is not None and known.request_digest != submission.digest:
        raise Conflict(
            f"Idempotency-Key {submission.idempotency_key!r} of team {submission.team!r} stands for run "
            f"{known.run_id}, which was submitted with another body"
        )
    return known.run_id
