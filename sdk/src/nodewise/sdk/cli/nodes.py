"""`nodewise nodes`: what the nodes are and do, and which take nothing new."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import age, cores, known, print_json, print_table
from nodewise.sdk.cli.reporting import fail

if TYPE_CHECKING:
    from nodewise.sdk.client import Client

app = typer.Typer(
    help="List the nodes, with what is free and measured; take one out of use, and back.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NODE", help="Its name, as `nodewise nodes` lists it.")]

_LOOK_SECONDS: Final = 0.5


@app.callback()
def nodes(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    """List the nodes, with what is free and measured; take one out of use, and back."""
    if context.invoked_subcommand is not None:
        return
    with connect(url) as client:
        found = client.nodes()
    if as_json:
        print_json(found)
        return
    headers = (
        "node", "state", "class", "arch", "worker type", "accelerator", "containers", "cores free", "MiB free", "GPUs free",
        "tasks", "load", "seen",
    )  # fmt: skip
    print_table(headers, [_node(node) for node in found], none="no nodes: has an agent joined?")


@app.command()
def cordon(name: Name, url: Url = None) -> None:
    """Let a node take nothing new; what it runs goes on."""
    with connect(url) as client:
        running = _tasks(client.cordon(name))
    typer.echo(f"{name} takes nothing new; {running} on it.")


@app.command()
def uncordon(name: Name, url: Url = None) -> None:
    """Let a node take tasks again."""
    with connect(url) as client:
        client.uncordon(name)
    typer.echo(f"{name} takes tasks again.")


@app.command()
def drain(
    name: Name,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait no longer than that; else to the end."),
    ] = None,
    url: Url = None,
) -> None:
    """Let a node take nothing new, and wait until what it runs has ended. Then it can be stopped, and nothing is lost."""
    end = None if timeout is None else time.monotonic() + timeout
    with connect(url) as client:
        node: Mapping[str, Any] = client.cordon(name)
        typer.echo(f"{name} takes nothing new; {_tasks(node)} on it.")
        while node["running_tasks"]:
            if end is not None and time.monotonic() >= end:
                fail(f"{_tasks(node)} still on {name}; it stays cordoned")
            time.sleep(_LOOK_SECONDS)
            node = _still_cordoned(client, name)
    typer.echo(f"Nothing is on {name} any more. `nodewise nodes uncordon {name}` lets it take tasks again.")


def _still_cordoned(client: Client, name: str) -> Mapping[str, Any]:
    node = next((node for node in client.nodes() if node["name"] == name), None)
    if node is None:
        fail(f"there is no node {name} any more")
    if not node.get("cordoned_at"):
        fail(f"somebody has uncordoned {name} meanwhile; {_tasks(node)} on it")
    return node


def _tasks(node: Mapping[str, Any]) -> str:
    count = node["running_tasks"]
    return f"{count} {'task is' if count == 1 else 'tasks are'}"


def _state(node: Mapping[str, Any]) -> str:
    return f"{node['state']}, cordoned" if node.get("cordoned_at") else str(node["state"])


def _node(node: Mapping[str, Any]) -> tuple[str, ...]:
    free, capacity = node["free"], node["capacity"]
    return (
        node["name"], _state(node), node["node_class"], node["architecture"], node["worker_type"],
        known(node["accelerator"]), known(node.get("container_runtime")),
        f"{cores(free['millicores'])}/{cores(capacity['millicores'])}",
        f"{free['memory_mib']}/{capacity['memory_mib']}",
        f"{free['gpus']}/{capacity['gpus']}",
        str(node["running_tasks"]), _figure(node, "load1"), age(node["last_seen_at"]),
    )  # fmt: skip


def _figure(node: Mapping[str, Any], name: str) -> str:
    """A measured value; with its age where it is too old to decide on."""
    figure = (node.get("observation") or {}).get(name)
    if figure is None:
        return "-"
    old = "" if figure["fresh"] else f" ({figure['age_seconds']:.0f}s old)"
    return f"{figure['value']:.2f}{old}"
