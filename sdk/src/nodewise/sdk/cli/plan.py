"""`nodewise plan`: what would become of a pipeline, before it is submitted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import print_json, print_table
from nodewise.sdk.cli.submit import (
    Deadline,
    Params,
    Policy,
    Priority,
    Strategy,
    Target,
    Team,
    pairs,
    read_deadline,
    read_parameters,
)
from nodewise.sdk.progress import seconds_text

if TYPE_CHECKING:
    from nodewise.sdk.models import Plan, PlannedTask

HEADERS = ("task", "node", "start", "finish", "finish (80 %)", "run", "why")
_NOW_SECONDS = 0.5
_CLOCK_SECONDS = 60.0
"""From so far ahead on, a time of day says more than a number of seconds."""
_DAY_SECONDS = 12 * 3600.0


def plan(  # noqa: PLR0913 (one argument per option of the command)
    target: Target,
    *,
    param: Params = None,
    strategy: Strategy = None,
    policy: Policy = None,
    priority: Priority = None,
    deadline: Deadline = None,
    team: Team = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Say when and where a pipeline would run.

    On today's queue, with intervals. Nothing is submitted.
    """
    from nodewise.sdk import load_submission  # noqa: PLC0415

    compiled = load_submission(target)
    parameters = read_parameters(compiled, pairs(param or (), option="-p"))
    until = read_deadline(deadline)
    with connect(url) as client:
        found = client.plan(
            compiled, parameters=parameters, policy=policy, strategy=strategy, priority=priority,
            deadline=until, team=team,
        )  # fmt: skip
    if as_json:
        print_json(found)
        return
    now = _moment(found["planned_at"])
    print_table(HEADERS, [_row(task, now) for task in found["tasks"]], none="no task can be planned")
    for left in found["unplannable"]:
        typer.echo(f"warning: task {left['path']} cannot be planned: {left['reason']}", err=True)
    typer.echo("\n" + "\n".join(summary(found)))


def _row(task: PlannedTask, now: datetime) -> tuple[str, ...]:
    run = f"{seconds_text(task['run_seconds'])} s ({seconds_text(task['run_low'])} to {seconds_text(task['run_high'])}, {task['prediction_basis']})"
    return (
        task["path"],
        task["node"],
        when(task["start"], now),
        when(task["finish"], now),
        between(task["finish_low"], task["finish_high"], now),
        run,
        task["reason"],
    )


MEANING = "start and finish: by the plan, if every task takes its median run time; (80 %): four of five outcomes lie within"


def summary(found: Plan) -> list[str]:
    """What the times mean, when the run is done, and how good the plan is: a line each."""
    told = [MEANING] if found["tasks"] else []
    left_out = found["queue"].get("left_out")
    beside = [left_out["text"]] if left_out else []
    return [*told, _done(found), f"{found['basis']}. {_quality(found)}".rstrip(), *beside]


def _done(found: Plan) -> str:
    before = found["queue"]["tasks_before"]
    ahead = (
        f"{before} {'task' if before == 1 else 'tasks'} of other runs before it"
        if before
        else "nothing before it"
    )
    if found["finish"] is None or found["finish_low"] is None or found["finish_high"] is None:
        return f"when it is done cannot be told; {ahead}"
    now = _moment(found["planned_at"])
    left = (_moment(found["finish"]) - now).total_seconds()
    low, high = clock(found["finish_low"], now), clock(found["finish_high"], now)
    return f"done in about {seconds_text(left)} s, at {clock(found['finish'], now)} (80 %: {low} to {high}) UTC; {ahead}"


def _quality(found: Plan) -> str:
    if found["makespan_seconds"] is None:
        return ""
    what = "all of it" if found["queue"].get("left_out") else "all that is queued"
    whole = f"By the plan {what} ends {seconds_text(found['makespan_seconds'])} s from now"
    if found["optimal"]:
        return f"{whole}: proved optimal"
    if found["gap"] is None:
        return whole
    bound = seconds_text(found["lower_bound_seconds"])
    return f"{whole}; no plan can end before {bound} s, so at most {100 * found['gap']:.1f} % are lost"


def when(moment: str, now: datetime) -> str:
    """`now`, `in 3.2 s`, `12:04:10`."""
    left = (_moment(moment) - now).total_seconds()
    if left < _NOW_SECONDS:
        return "now"
    return f"in {left:.1f} s" if left < _CLOCK_SECONDS else clock(moment, now)


def between(low: str, high: str, now: datetime) -> str:
    """`in 2.0 s to 6.0 s`, `12:00:40 to 12:01:30`: both in the same way."""
    first, last = when(low, now), when(high, now)
    if first.startswith("in ") and not last.startswith("in "):
        return f"{clock(low, now)} to {last}"
    return f"{first} to {last.removeprefix('in ')}"


def clock(moment: str, now: datetime) -> str:
    """The time of day in UTC, with the date where that is far."""
    at = _moment(moment)
    return f"{at:%H:%M:%S}" if (at - now).total_seconds() < _DAY_SECONDS else f"{at:%Y-%m-%d %H:%M}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
