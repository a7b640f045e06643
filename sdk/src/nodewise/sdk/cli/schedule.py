"""`nodewise schedule`: recurring runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nodewise.core.errors import NodewiseError, UnknownName
from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import age, known, print_json, print_table
from nodewise.sdk.cli.reporting import fail
from nodewise.sdk.cli.submit import Params, Policy, Priority, Strategy, Target, Team, pairs, read_parameters

if TYPE_CHECKING:
    from nodewise.sdk.client import Client, Run, Schedule

app = typer.Typer(
    help="Run a pipeline again and again, by cron or at an interval.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_ID_LENGTH = 36
_SHOWN_RUNS = 10
_HEADERS = ("schedule", "name", "when", "state", "next", "last", "running", "note")

ScheduleRef = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="A schedule's name or id, or a unique beginning of its id.")
]


class AmbiguousSchedule(NodewiseError):
    """Several schedules are called that, or begin like that."""

    def __init__(self, ref: str, found: list[Schedule]) -> None:
        self.ref = ref
        listed = ", ".join(f"{one.id} ({one.name}, team {one.info['team']})" for one in found[:5])
        super().__init__(f"{len(found)} schedules are meant by {ref!r}: {listed}")


@app.command()
def add(  # noqa: PLR0913 (one argument per option of the command)
    target: Target,
    *,
    name: Annotated[
        str | None, typer.Option(help="Unique in its team; by default the pipeline's name.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="5 fields, 6 with seconds in front, or @daily and the like.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of --cron, such as Europe/Berlin; else UTC.")] = None,
    every: Annotated[str | None, typer.Option(help="An interval instead: 90s, 15m, 1h30m, 2d.")] = None,
    start: Annotated[str | None, typer.Option(help="No run before (RFC 3339); may lie in the past.")] = None,
    end: Annotated[str | None, typer.Option(help="No run after (RFC 3339).")] = None,
    catchup: Annotated[
        bool, typer.Option("--catchup/--no-catchup", help="Whether missed times get their runs later.")
    ] = True,
    max_concurrency: Annotated[int, typer.Option(min=1, help="So many of its runs at once.")] = 1,
    disabled: Annotated[bool, typer.Option("--disabled", help="It waits until it is enabled.")] = False,
    param: Params = None,
    strategy: Strategy = None,
    policy: Policy = None,
    priority: Priority = None,
    team: Team = None,
    engine: Annotated[str | None, typer.Option(help="What runs its tasks; else the stack's default.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Of its runs. Repeatable.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit a pipeline again and again."""
    from nodewise.sdk import load_submission  # noqa: PLC0415

    compiled = load_submission(target)
    with connect(url) as client:
        try:
            made = client.schedule(
                compiled, name=name, cron=cron, time_zone=time_zone, every=every, start=start, end=end,
                catchup=catchup, max_concurrency=max_concurrency, enabled=not disabled,
                parameters=read_parameters(compiled, pairs(param or (), option="-p")),
                labels=pairs(label or (), option="--label"),
                policy=policy, strategy=strategy, priority=priority, team=team, engine=engine,
            )  # fmt: skip
        except ValueError as error:
            fail(str(error), code=2)
    _print_one(made, as_json=as_json)


@app.command("ls")
def list_schedules(
    team: Annotated[str | None, typer.Option(help="Only those of this team.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List recurring runs, newest first."""
    with connect(url) as client:
        found = list(client.schedules(team=team))
    if as_json:
        print_json([one.info for one in found])
        return
    print_table(_HEADERS, [_row(one) for one in found], none="no schedules")


@app.command()
def show(schedule: ScheduleRef, as_json: AsJson = False, url: Url = None) -> None:
    """Show a recurring run: its next times, what is to be told of it, and its latest runs."""
    with connect(url) as client:
        found = find_schedule(client, schedule)
        runs = list(found.runs(limit=_SHOWN_RUNS))
    if as_json:
        print_json({**found.info, "runs": [run.info for run in runs]})
        return
    for line in _facts(found):
        typer.echo(line)
    typer.echo("")
    headers = ("run", "name", "state", "for", "submitted")
    print_table(headers, [_run_row(run) for run in runs], none="no runs yet")


@app.command()
def enable(schedule: ScheduleRef, as_json: AsJson = False, url: Url = None) -> None:
    """Let it go on."""
    with connect(url) as client:
        _print_one(find_schedule(client, schedule).enable(), as_json=as_json)


@app.command()
def disable(schedule: ScheduleRef, as_json: AsJson = False, url: Url = None) -> None:
    """Make no more runs; those under way go on."""
    with connect(url) as client:
        _print_one(find_schedule(client, schedule).disable(), as_json=as_json)


@app.command("rm")
def remove(schedule: ScheduleRef, url: Url = None) -> None:
    """Forget it; its runs go on, and stay."""
    with connect(url) as client:
        found = find_schedule(client, schedule)
        found.delete()
    typer.echo(f"{found.id}  {found.name}  deleted")


@app.command("run")
def run_now(schedule: ScheduleRef, as_json: AsJson = False, url: Url = None) -> None:
    """Submit it once more, now."""
    with connect(url) as client:
        run = find_schedule(client, schedule).run()
    if as_json:
        print_json(run.info)
    else:
        typer.echo(f"{run.id}  {run.name}  {run.state}")


def find_schedule(client: Client, ref: str) -> Schedule:
    """The schedule that the user means.

    Raises:
        UnknownName: There is none.
        AmbiguousSchedule: There are several.
    """
    if len(ref) >= _ID_LENGTH:
        return client.get_schedule(ref)
    found = [one for one in client.schedules() if one.name == ref or one.id.startswith(ref)]
    if not found:
        raise UnknownName("schedule", ref)
    if len(found) > 1:
        raise AmbiguousSchedule(ref, found)
    return found[0].refresh()


def _print_one(found: Schedule, *, as_json: bool) -> None:
    if as_json:
        print_json(found.info)
        return
    following = f"next {_said(found.info['next_at'])}" if found.info["next_at"] else "no further time"
    typer.echo(f"{found.id}  {found.name}  {_state(found)}  {following}")


def _row(one: Schedule) -> tuple[str, ...]:
    info = one.info
    running = f"{info['active_runs']}/{info['max_concurrency']}"
    times = (_said(info["next_at"]), age(info["last_at"]))
    return (one.id[:8], one.name, _when(one), _state(one), *times, running, known(info["reason"]))


def _facts(one: Schedule) -> list[str]:
    info = one.info
    facts: dict[str, Any] = {
        "schedule": one.id, "name": one.name, "state": _state(one), "pipeline": info["pipeline"], "team": info["team"],
        "when": _when(one), "start": _said(info["start_at"]), "end": _said(info["end_at"]),
        "catch-up": "all missed" if info["catchup"] else "the latest",
        "running": f"{info['active_runs']} of at most {info['max_concurrency']}",
        "next": ", ".join(map(_said, info.get("upcoming", []))) or "no further time", "note": known(info["reason"]),
        "last error": _error(one),
    }  # fmt: skip
    return [f"{name:<10}  {value}" for name, value in facts.items() if value != "-"]


def _error(one: Schedule) -> str:
    info = one.info
    if info["last_error"] is None:
        return "-"
    since = f"; {info['refusals']} times since the latest run" if info["refusals"] else ""
    return f"{_said(info['last_error_at'])}: {info['last_error']}{since}"


def _when(one: Schedule) -> str:
    info = one.info
    if info["cron"] is not None:
        return f"{info['cron']} ({info['time_zone']})"
    return f"every {_duration(info['interval_seconds'] or 0)}"


def _duration(seconds: int) -> str:
    """`90m` for 5400: in the largest unit that is whole."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _state(one: Schedule) -> str:
    if not one.enabled:
        return "disabled"
    return "enabled" if one.info["next_at"] else "ended"


def _run_row(run: Run) -> tuple[str, ...]:
    info = run.info
    return (run.id[:8], run.name, run.state, _said(info["scheduled_for"]), age(info["submitted_at"]))


def _said(moment: str | None) -> str:
    """An API's time, to the second; `-` for none."""
    if moment is None:
        return "-"
    when = datetime.fromisoformat(moment).astimezone(UTC)
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
