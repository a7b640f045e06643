"""Commands about runs: ls, get, logs, cancel, explain."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import typer

from nodewise.core.errors import UnknownName
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunState
from nodewise.sdk.cli.artifacts import output_lines
from nodewise.sdk.cli.options import AsJson, RunRef, Url, connect, find_run
from nodewise.sdk.cli.output import age, print_json, print_table
from nodewise.sdk.models import Json, RunInfo, TaskInfo
from nodewise.sdk.progress import TASK_HEADERS, done, task_row

if TYPE_CHECKING:
    from nodewise.sdk.client import Client, Run

_POLL_SECONDS = 0.5
_NEVER_RAN = frozenset({"SKIPPED", "CANCELED"})

TaskRef = Annotated[str | None, typer.Argument(metavar="TASK", help="A task of the run; all by default.")]


def ls(  # noqa: PLR0913 (one argument per option of the command)
    *,
    state: Annotated[
        RunState | None, typer.Option(case_sensitive=False, help="Only runs in this state.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only runs of this team.")] = None,
    label: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="Only runs with this label.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Only runs that were put away.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List runs, newest first."""
    wanted = state.value if state else None
    if label and ":" not in label.partition("=")[0]:
        label = label.replace("=", ":", 1)
    with connect(url) as client:
        runs = client.runs(state=wanted, team=team, label=label, archived=archived, limit=limit)
        found = [run.info for run in runs]
    if as_json:
        print_json(found)
        return
    ids = short_ids([info["id"] for info in found])
    rows = [_row(info, ids[info["id"]]) for info in found]
    print_table(("run", "name", "state", "tasks", "age", "policy", "strategy"), rows, none="no runs")


def _row(info: RunInfo, run_id: str) -> tuple[str, ...]:
    progress = f"{done(info)}/{info['tasks']['total']}"
    return (
        run_id,
        info["name"],
        info["state"],
        progress,
        age(info["submitted_at"]),
        info["policy"],
        info["strategy"],
    )


def short_ids(ids: list[str]) -> dict[str, str]:
    """The beginning of each id that tells them apart, 8 letters at least."""
    length = 8
    while length < 36 and len({run_id[:length] for run_id in ids}) < len(set(ids)):
        length += 1
    return {run_id: run_id[:length] for run_id in ids}


def get(run: RunRef, as_json: AsJson = False, url: Url = None) -> None:
    """Show a run and its tasks."""
    with connect(url) as client:
        found = find_run(client, run)
        tasks = found.tasks()
    if as_json:
        print_json({**found.info, "task_items": tasks})
        return
    for line in _facts(found.info):
        typer.echo(line)
    typer.echo("")
    print_table(TASK_HEADERS, [task_row(task) for task in tasks], none="no tasks")
    for line in output_lines(tasks):
        typer.echo(line)


def _facts(info: RunInfo) -> list[str]:
    facts: dict[str, object] = {
        "run": info["id"], "name": info["name"], "state": info["state"], "error": info["error"],
        "pipeline": info["pipeline"], "policy": info["policy"], "strategy": info["strategy"],
        "team": info["team"], "priority": info["priority"], "deadline": info["deadline"],
        "parameters": _pairs(info["parameters"]), "labels": _pairs(info["labels"]),
        "retry of": info.get("retry_of"), "submitted": info["submitted_at"], "started": info["started_at"], "finished": info["finished_at"],
    }  # fmt: skip
    return [f"{name:<10}  {value}" for name, value in facts.items() if value not in (None, "")]


def _pairs(values: dict[str, object] | dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def logs(
    run: RunRef,
    task: TaskRef = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="Which attempt; the latest by default.")] = None,
    url: Url = None,
) -> None:
    """Print what tasks wrote."""
    with connect(url, patient=follow) as client:
        found = find_run(client, run)
        for item in _chosen(found, task):
            if task is None:
                typer.echo(f"==> {item['path']} ({item['state']}) <==")
            if follow:
                _follow_log(client, found, item["path"])
            else:
                _print_log(found, item, attempt=attempt, closed=task is None)


def _print_log(run: Run, task: TaskInfo, *, attempt: int | None, closed: bool) -> None:
    """The log and nothing else on stdout; `closed`: with a line end, since another log follows."""
    text = run.logs(task["path"], attempt=attempt) if task["attempt"] or attempt else ""
    if not text:
        typer.echo(f"task {task['path']} wrote nothing", err=True)
    typer.echo(text, nl=closed and bool(text) and not text.endswith("\n"))


def _chosen(run: Run, path: str | None) -> list[TaskInfo]:
    """All tasks, or the one of that path.

    Raises:
        UnknownName: The run has no such task; names those it has.
    """
    tasks = run.tasks()
    chosen = [task for task in tasks if path is None or task["path"] == path]
    if not chosen:
        raise UnknownName("task", str(path), [task["path"] for task in tasks])
    return chosen


def _follow_log(client: Client, run: Run, path: str) -> None:
    """Print the log as it grows; a new attempt starts from its beginning."""
    printed, of_attempt = 0, 0
    while True:
        # The state first: a log that is read after the end is whole.
        task = _chosen(run, path)[0]
        if task["attempt"] != of_attempt:
            printed, of_attempt = 0, task["attempt"]
        text = run.logs(path) if task["attempt"] and task["state"] not in _NEVER_RAN else ""
        typer.echo(text[printed:], nl=False)
        printed = len(text)
        if task["state"] in FINAL_TASK_STATES:
            return
        client.sleep(_POLL_SECONDS)


def cancel(run: RunRef, url: Url = None) -> None:
    """Ask for a run to end."""
    with connect(url) as client:
        found = find_run(client, run).cancel()
        typer.echo(f"{found.id}  {found.name}  {found.state}, asked to end")


def retry(run: RunRef, as_json: AsJson = False, url: Url = None) -> None:
    """Try a run again that failed or was canceled, as a new run; what may be reused is not run again."""
    with connect(url) as client:
        found = find_run(client, run).retry()
    if as_json:
        print_json(found.info)
        return
    typer.echo(f"{found.id}  {found.name}  {found.state}")


def archive(
    run: RunRef,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    url: Url = None,
) -> None:
    """Put a run away that has ended: `ls` leaves it out. Tables and reports keep it."""
    with connect(url) as client:
        found = find_run(client, run).archive(archived=not undo)
    typer.echo(f"{found.id}  {found.name}  {'back' if undo else 'put away'}")


def explain(run: RunRef, task: TaskRef = None, as_json: AsJson = False, url: Url = None) -> None:
    """Say why each task is on its node, why it waits, or why it is left out.

    Shows what every candidate would have cost or lacked, and what would let a waiting task start.
    """
    from nodewise.sdk.cli.explanation import explain_part, explain_task  # noqa: PLC0415

    with connect(url) as client:
        answer = _explained(find_run(client, run), task)
    if as_json:
        print_json(answer)
        return
    typer.echo(f"{answer['run']['name']} ({answer['run']['id']}): {answer['run']['state']}")
    if answer["run"].get("error"):
        typer.echo(f"why: {answer['run']['error']}")
    if answer.get("queue"):
        typer.echo(f"the queue: {answer['queue']['text']}")
    for item in answer["tasks"]:
        typer.echo("\n" + explain_task(item))
    for part in answer.get("parts", ()):
        typer.echo("\n" + explain_part(part))


def _explained(run: Run, task: str | None) -> Json:
    """The answer, with the one task where one is asked for.

    Raises:
        UnknownName: The pipeline has no such task; names those of the run.
    """
    from nodewise.sdk.client.errors import ApiError  # noqa: PLC0415

    try:
        answer = run.explain(task)
    except ApiError as error:
        if task is not None and error.status == HTTPStatus.NOT_FOUND:
            _chosen(run, task)
        raise
    tasks = [item for item in answer["tasks"] if task is None or item["path"] == task]
    if task is not None and not tasks and not answer.get("parts"):
        _chosen(run, task)
    return {**answer, "tasks": tasks}
