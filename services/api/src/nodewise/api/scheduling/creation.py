"""From a request to a schedule, and from a schedule to the submission of one of its runs. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from nodewise.api.account import on_account
from nodewise.api.auth.caller import Caller
from nodewise.api.problems import Problem, invalid
from nodewise.api.refusals import REFUSALS, problem_of, within
from nodewise.api.requests import submit_request
from nodewise.api.scheduling.requests import ScheduleRequest
from nodewise.api.submission import Origin, Submission, read_submission
from nodewise.core.db.queries.schedules import Schedule
from nodewise.core.model.schedule import Rules, Timetable
from nodewise.core.model.trigger import Cron, Interval
from nodewise.core.settings import Settings

_STORED_APART = ("pipeline_spec", "platform_spec")
_RUN = "run"


def submission_in(
    request: ScheduleRequest, body: Mapping[str, Any], caller: Caller, *, settings: Settings
) -> Submission:
    """The submission that is to recur.

    Raises:
        Problem: 422, its pipeline breaks a rule, or it says what makes no sense for runs that recur; 403, it is on the
            account of a team that the caller is not in.
    """
    if request.run.deadline is not None:
        rule = "many runs cannot share one moment; let the pipeline say after how many seconds each is due"
        raise invalid("body.run.deadline", rule)
    try:
        submission = read_submission(request.run, body[_RUN], key=None, settings=settings)
        return on_account(submission, caller)
    except REFUSALS as error:
        raise in_run(error) from error


def in_run(error: Exception) -> Problem:
    """The problem of a refused submission, as one of the request that contains it."""
    return within(problem_of(error), _RUN)


def new_schedule(
    request: ScheduleRequest, body: Mapping[str, Any], submission: Submission, *, now: datetime
) -> Schedule:
    """The schedule that is asked for.

    Raises:
        Problem, InvalidTrigger: 422, its times break a rule, or there are none.
    """
    timetable = _timetable(request, now=now)
    if timetable.first() is None:
        raise invalid(f"body.{_field_of_trigger(request)}", "no time ever comes" + _before_end(timetable))
    return Schedule(
        name=request.name or submission.program.name,
        team=submission.team,
        spec_digest=submission.pipeline.digest,
        pipeline_name=submission.program.name,
        request={key: value for key, value in body[_RUN].items() if key not in _STORED_APART},
        timetable=timetable,
        rules=Rules(catchup=request.catchup, max_concurrency=request.max_concurrency),
        enabled=request.enabled,
    )


def recurring_body(
    schedule: Schedule, ir: Mapping[str, object], platforms: Mapping[str, object]
) -> dict[str, object]:
    """The body of `POST /v1/runs` that would submit the same as the schedule does."""
    return {**schedule.request, "pipeline_spec": ir, "platform_spec": {"platforms": platforms}}


def recurring_submission(
    schedule: Schedule, body: Mapping[str, object], origin: Origin, *, key: str | None, settings: Settings
) -> Submission:
    """The submission of one run of a schedule. It is named for its time, unless the request names all of them.

    Raises:
        Problem, InvalidPipeline: A later release than the one that stored it refuses it.
    """
    request = submit_request(body)
    if request.name is None:
        name = f"{schedule.name} {_said(origin.scheduled_for)}" if origin.scheduled_for else schedule.name
        request = request.model_copy(update={"name": name})
    request = request.model_copy(update={"team": schedule.team})
    return replace(read_submission(request, body, key=key, settings=settings), origin=origin)


def _timetable(request: ScheduleRequest, *, now: datetime) -> Timetable:
    start = request.start_at.astimezone(UTC) if request.start_at else None
    end = request.end_at.astimezone(UTC) if request.end_at else None
    if end is not None and end < (start or now):
        raise invalid("body.end_at", f"must not lie before its start, {_said(start or now)}")
    if (request.cron is None) == (request.interval_seconds is None):
        raise invalid("body.cron", "give either cron or interval_seconds")
    if request.cron is not None:
        trigger = Cron(expression=request.cron, time_zone=request.time_zone or "UTC")
        return Timetable(trigger=trigger, start=start or now, end=end)
    if request.time_zone is not None:
        raise invalid("body.time_zone", "an interval has none: it is real time")
    seconds = request.interval_seconds or 0
    anchor = start or now.replace(microsecond=0) + timedelta(seconds=seconds)
    return Timetable(trigger=Interval(seconds=seconds, anchor=anchor), start=anchor, end=end)


def _field_of_trigger(request: ScheduleRequest) -> str:
    return "interval_seconds" if request.cron is None else "cron"


def _before_end(timetable: Timetable) -> str:
    return f" before its end, {_said(timetable.end)}" if timetable.end else ""


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
