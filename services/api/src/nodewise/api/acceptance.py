"""How a run is written, whoever asks for it: a client now, or a schedule whose time has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from nodewise.api.choice import choose
from nodewise.api.problems import Problem
from nodewise.api.submission import Submission, first_container, new_run, without_runtime
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.nodes_read import any_container_runtime
from nodewise.core.db.queries.quotas import lock_queued_runs
from nodewise.core.db.queries.submissions import KnownSubmission, NewRun, insert_run, known_submission
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.model.ids import RunId
from nodewise.core.model.quota import quota_of
from nodewise.core.model.task import DatasetFacts
from nodewise.core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written of a submission, and how its run stands in the table now."""

    run: NewRun
    row: RowMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a submission. `new` is None where its run was there already."""

    run_id: RunId
    new: Written | None = None


def prepared(connection: Connection, submission: Submission, settings: Settings, *, now: datetime) -> NewRun:
    """The rows of a submission, checked against what is registered now; nothing is written.

    Raises:
        One of `refusals.REFUSALS`.
    """
    container = first_container(submission)
    if container is not None and not any_container_runtime(connection):
        raise without_runtime(container)
    registered = datasets_named(connection, submission.dataset_names())
    facts = {name: row.facts for name, row in registered.items()}
    return _rows(submission, settings, facts, now=now)


def prepared_alone(submission: Submission, settings: Settings, *, now: datetime) -> NewRun | None:
    """The same of a submission that nothing has to be looked up for; None: it has to.

    Raises:
        One of `refusals.REFUSALS`.
    """
    if first_container(submission) is not None or submission.dataset_names():
        return None
    return _rows(submission, settings, {}, now=now)


def _rows(
    submission: Submission, settings: Settings, facts: Mapping[str, DatasetFacts], *, now: datetime
) -> NewRun:
    choice = choose(submission.request.policy, submission.request.strategy, settings)
    return new_run(submission, choice, facts, now=now)


def is_counted(submission: Submission, settings: Settings) -> bool:
    """Whether the team may have so many runs only, so that counting and writing must be one transaction."""
    return quota_of(submission.team, settings.team_quotas).queued_runs is not None


def accept(connection: Connection, submission: Submission, settings: Settings, *, now: datetime) -> Accepted:
    """Write a submission in the caller's transaction.

    Raises:
        One of `refusals.REFUSALS`; then nothing was written.
    """
    if submission.idempotency_key is not None:
        # Looked up before the rest is checked: a repetition succeeds even if, say, its deadline has passed since.
        known = known_submission(connection, submission.team, submission.idempotency_key)
        if known is not None:
            return Accepted(run_id=same_run(submission, known))
    run = prepared(connection, submission, settings, now=now)
    _check_quota(connection, run.team, settings)
    written = insert_run(connection, run)
    if isinstance(written, KnownSubmission):
        return Accepted(run_id=same_run(submission, written))
    return Accepted(run_id=run.id, new=Written(run=run, row=written))


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


def same_run(submission: Submission, known: KnownSubmission) -> RunId:
    """The run that a repeated submission is.

    Raises:
        Conflict: It is no repetition: the body is another one.
    """
    if submission.idempotency_key is not None and known.request_digest != submission.digest:
        raise Conflict(
            f"Idempotency-Key {submission.idempotency_key!r} of team {submission.team!r} stands for run "
            f"{known.run_id}, which was submitted with another body"
        )
    return known.run_id
