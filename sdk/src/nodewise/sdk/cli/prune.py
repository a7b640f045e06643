"""`nodewise prune`: retention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import print_json, size
from nodewise.sdk.cli.reporting import fail
from nodewise.sdk.dsl.options import seconds_of

_ROWS = ("runs", "tasks", "attempts", "events", "results", "pipelines")
_SAID = {"results": "reusable results"}


def prune(
    *,
    older_than: Annotated[
        str, typer.Option(help="Runs that ended longer ago go: 30d, 12h; at least an hour.")
    ],
    keep_failed: Annotated[bool, typer.Option("--keep-failed", help="Runs that failed stay.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Remove runs that ended long ago, with their logs and the artifacts that nothing else refers to.

    Runs that go on, schedules, data sets and what was learned of run times stay. It may be stopped at any moment and
    called again.
    """
    with connect(url, patient=True) as client:
        done = client.prune(_seconds(older_than), keep_failed=keep_failed, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    for line in lines(done["removed"], before=done["before"], dry_run=dry_run):
        typer.echo(line)


def _seconds(text: str) -> float:
    try:
        return seconds_of(text)
    except ValueError as error:
        fail(f"--older-than: {error}")


def lines(removed: Mapping[str, int], *, before: str, dry_run: bool) -> list[str]:
    """What went, for a person."""
    said = "would go" if dry_run else "removed"
    rows = ", ".join(f"{removed[name]} {_SAID.get(name, name)}" for name in _ROWS)
    return [
        f"{said}, of what ended before {before}: {rows}",
        f"{said} from the artifact store: {removed['log_files']} logs, {removed['artifact_files']} files, "
        f"{removed['directories']} directories; {size(removed['bytes'])}",
    ]
