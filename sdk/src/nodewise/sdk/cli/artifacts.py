"""What tasks left: `nodewise artifact`, and the lines that `nodewise get` shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nodewise.core.errors import UnknownName
from nodewise.sdk.cli.options import RunRef, Url, connect, find_run
from nodewise.sdk.cli.output import print_table, size
from nodewise.sdk.models import TaskInfo


def artifact(
    run: RunRef,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task of the run.")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The artifact; left out: list them.")
    ] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder that exists.")
    ] = None,
    url: Url = None,
) -> None:
    """Download what a task left: a model, say.

    A directory comes as a tar.
    """
    with connect(url) as client:
        found = find_run(client, run)
        artifacts = _artifacts(found.tasks(), task)
        if name is None:
            rows = [_row(key, item) for key, item in artifacts.items()]
            print_table(("artifact", "type", "size", "address"), rows, none="no artifacts")
            return
        if name not in artifacts:
            raise UnknownName("artifact", name, sorted(artifacts) or [f"(task {task} left none)"])
        typer.echo(str(found.artifact(task, name, output)))


def _artifacts(tasks: Sequence[TaskInfo], path: str) -> Mapping[str, Mapping[str, Any]]:
    for task in tasks:
        if task["path"] == path:
            return task["outputs"]["artifacts"]
    raise UnknownName("task", path, [task["path"] for task in tasks])


def _row(name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    return (name, _kind(item), _size(item), item["uri"])


def output_lines(tasks: Sequence[TaskInfo]) -> Iterator[str]:
    """Every output parameter, metric and artifact, one line each."""
    for task in tasks:
        path, outputs = task["path"], task["outputs"]
        for name, value in outputs["parameters"].items():
            yield f"{path}.{name} = {value}"
        for name, item in outputs["artifacts"].items():
            if _kind(item) == "Metrics":
                yield from (f"{path}.{name}.{key} = {value}" for key, value in item["metadata"].items())
            yield f"{path}.{name}: {_kind(item)}, {_size(item)}"


def _kind(item: Mapping[str, Any]) -> str:
    """`Model` for `system.Model`."""
    return str(item.get("schema_title") or "Artifact").removeprefix("system.")


def _size(item: Mapping[str, Any]) -> str:
    return size(item.get("size_bytes")) if str(item["uri"]).startswith("store://") else "elsewhere"
