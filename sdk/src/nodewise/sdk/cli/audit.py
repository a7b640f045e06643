"""The command that checks what is on record."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from nodewise.core.errors import NodewiseError
from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import known, print_json, print_table

_COUNTED = ("runs", "tasks", "attempts", "events", "bookings", "nodes")


class NoMoment(NodewiseError):
    """A text that names no time."""


def audit(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only what was submitted since then: 2h, 3d, or ISO 8601. Default: 24h."
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Check what is on record: nothing lost, nothing counted twice, no node overbooked. Ends with 1 if anything is wrong."""
    with connect(url) as client:
        found = client.audit(since=_moment(since) if since else None)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found["findings_total"]:
        raise typer.Exit(1)


def _print(found: Mapping[str, Any]) -> None:
    counts = ", ".join(f"{found[name]} {name}" for name in _COUNTED)
    typer.echo(f"checked since {found['since']}: {counts}")
    if not found["findings_total"]:
        typer.echo("nothing is wrong")
        return
    typer.echo(f"{found['findings_total']} findings:")
    headers = ("check", "run", "task", "attempt", "node", "since", "what is wrong")
    print_table(headers, [_row(finding) for finding in found["findings"]])
    if more := found["findings_total"] - len(found["findings"]):
        typer.echo(f"and {more} more")


def _row(finding: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("check", "run_id", "path", "attempt", "node", "since", "text")
    return tuple(known(finding[name]) for name in names)


def _moment(given: str) -> datetime:
    """A time, in UTC unless it says; or so long ago."""
    from nodewise.sdk.dsl.options import seconds_of  # noqa: PLC0415

    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        try:
            return datetime.now(UTC) - timedelta(seconds=seconds_of(given))
        except (ValueError, OverflowError) as error:
            raise NoMoment(f"--since {given!r} is neither a duration such as 2h nor a time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
