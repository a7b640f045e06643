"""Commands about what waits and the choices that the cluster offers: queue, strategies, policies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import known, print_json, print_table
from nodewise.sdk.progress import seconds_text, short


def queue(as_json: AsJson = False, url: Url = None) -> None:
    """Show what waits, in order, and why; then what waits for inputs, by run."""
    with connect(url) as client:
        found = client.queue()
    if as_json:
        print_json(found)
        return
    typer.echo(", ".join(f"{count} {state}" for state, count in found["counts"].items()))
    headers = ("run", "name", "task", "state", "waited", "priority", "policy", "strategy", "why")
    print_table(headers, [_queued(item) for item in found["items"]], none="nothing is queued")
    _print_waiting(found["waiting"], left=found["counts"].get("WAITING", 0))


def _print_waiting(runs: Sequence[Mapping[str, Any]], *, left: int) -> None:
    """The first tasks of each run that wait for inputs; the others are counted."""
    if not runs:
        return
    typer.echo("\nnot queued yet, since their inputs are not there:")
    rows = [row for run in runs for row in _of_run(run)]
    print_table(("run", "name", "task", "waits for"), rows)
    if more := left - sum(run["tasks"] for run in runs):
        typer.echo(f"and {more} {'task' if more == 1 else 'tasks'} of other runs")


def _of_run(run: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    named = (short(run["run_id"]), run["run_name"])
    for item in run["items"]:
        awaited = [f"{one['path']} ({one['state']})" for one in item["waits_for"]]
        yield (*named, item["path"], ", ".join(awaited) or "its turn: its inputs are there")
    if more := run["tasks"] - len(run["items"]):
        yield (*named, f"and {more} more", "")


def _queued(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        short(item["run_id"]), item["run_name"], item["path"], item["state"], seconds_text(item["waited_seconds"]),
        known(item["priority"]), known(item["policy"]), known(item["strategy"]),
        known(item["reason"] or item["reason_code"]),
    )  # fmt: skip


def strategies(as_json: AsJson = False, url: Url = None) -> None:
    """List how nodes can be chosen, and the presets."""
    with connect(url) as client:
        found = client.strategies()
    if as_json:
        print_json(found)
        return
    print_table(("strategy", "default", "summary"), [_choice(item) for item in found["items"]])
    typer.echo("")
    presets = [(p["name"], p["policy"], p["strategy"], p["summary"]) for p in found["presets"]]
    print_table(("preset", "policy", "strategy", "summary"), presets, none="no presets")


def policies(as_json: AsJson = False, url: Url = None) -> None:
    """List the orders in which waiting tasks can be considered."""
    with connect(url) as client:
        found = client.policies()
    if as_json:
        print_json(found)
        return
    print_table(("policy", "default", "summary"), [_choice(item) for item in found])


def _choice(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (item["name"], "*" if item.get("default") else "", item["summary"])
