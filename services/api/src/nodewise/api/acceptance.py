"""How a run is written, whoever asks for it: a client now, or a schedule whose time has come."""

from datetime import datetime

from sqlalchemy import Connection

from nodewise.api.choice import choose
from nodewise.api.submission import Submission, first_container, new_run, without_runtime
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.nodes_read import any_container_runtime
from nodewise.core.db.queries.runs import KnownSubmission, NewRun, insert_run, known_submission
from nodewise.core.errors import Conflict
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.model.ids import RunId
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
    lost_race_to = insert_run(connection, run)
    if lost_race_to is not None:
        return _same(submission, lost_race_to), None
    return run.id, run


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
