"""`nodewise keys`: who may use the API, and who is a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodewise.core.errors import NodewiseError, UnknownName
from nodewise.core.model.ids import NodeName
from nodewise.core.model.role import Role
from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import age, print_json, print_table
from nodewise.sdk.cli.reporting import fail
from nodewise.sdk.discovery import node_secret_file

if TYPE_CHECKING:
    from nodewise.sdk.client import Client
    from nodewise.sdk.client.keys import KeyInfo

app = typer.Typer(
    help="Make, list and end API keys (for admins); print the keys of nodes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_HEADERS = ("key", "name", "role", "team", "made", "expires", "last used")

KeyRef = Annotated[
    str, typer.Argument(metavar="KEY", help="A key's name, or its id or a unique beginning of it.")
]


class AmbiguousKey(NodewiseError):
    """The ids of several keys begin like that."""

    def __init__(self, ref: str, found: list[KeyInfo]) -> None:
        self.ref = ref
        listed = ", ".join(f"{one['id']} ({one['name']})" for one in found[:5])
        super().__init__(f"{len(found)} keys are meant by {ref!r}: {listed}")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for, or whose it is.")],
    *,
    role: Annotated[Role, typer.Option(help="What its holder may do.")] = Role.SUBMITTER,
    team: Annotated[str, typer.Option(help="Whose runs its holder sees and makes.")] = "default",
    expires: Annotated[str | None, typer.Option(help="After how long: 12h, 90d; else never.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a key and print it: on stdout, so that it can go into a file. It is not shown again."""
    with connect(url) as client:
        try:
            made = client.create_key(name, role=role.value, team=team, expires=expires)
        except ValueError as error:
            fail(str(error), code=2)
    if as_json:
        print_json(made)
        return
    until = f"until {made['expires_at']}" if made["expires_at"] else "without an end"
    typer.echo(
        f"key {name} of a {made['role']}, team {made['team']}, {until}; it is not shown again:", err=True
    )
    typer.echo(made["key"])


@app.command("list")
def list_keys(
    revoked: Annotated[bool, typer.Option("--revoked", help="Those that were revoked instead.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the keys, newest first, without the keys themselves."""
    with connect(url) as client:
        found = list(client.keys(revoked=revoked))
    if as_json:
        print_json(found)
        return
    print_table(_HEADERS, [_row(one) for one in found], none="no keys")


@app.command()
def revoke(key: KeyRef, url: Url = None) -> None:
    """End a key: it is refused within a few seconds."""
    with connect(url) as client:
        found = _find(client, key)
        client.revoke_key(found["id"])
    typer.echo(f"{found['id']}  {found['name']}  revoked")


@app.command()
def whoami(as_json: AsJson = False, url: Url = None) -> None:
    """Say whose key is used here."""
    with connect(url) as client:
        found = client.whoami()
    if as_json:
        print_json(found)
        return
    scope = "all teams" if found["sees_all_teams"] else f"team {found['team']}"
    typer.echo(f"{found['name']}: {found['role']} of {scope}")


@app.command()
def node(
    name: Annotated[
        str | None, typer.Argument(help="Of the node, as its agent is told by --name.", show_default=False)
    ] = None,
    *,
    carrier: Annotated[bool, typer.Option("--carrier", help="The key of a carrier instead.")] = False,
    secret_file: Annotated[
        Path | None,
        typer.Option(help="The cluster's secret; else that of the stack in this folder or above."),
    ] = None,
) -> None:
    """Print the key of a node, for the file that its agent is told by --key-file. It works where the cluster's secret is."""
    # Imported late, as each start of the command would wait for it.
    from nodewise.core.nodekeys import ClusterSecret, could_be_name  # noqa: PLC0415

    if carrier == (name is not None):
        fail("give the name of a node, or --carrier", code=2)
    if name is not None and not could_be_name(name):
        fail(f"{name!r} cannot be the name of a node", code=2)
    secret = ClusterSecret.read(secret_file or node_secret_file())
    typer.echo(secret.carrier_key().text if name is None else secret.node_key(NodeName(name)).text)


def _find(client: Client, ref: str) -> KeyInfo:
    keys = list(client.keys())
    found = [one for one in keys if ref in (one["name"], one["id"])]
    found = found or [one for one in keys if one["id"].startswith(ref)]
    if not found:
        raise UnknownName("key", ref)
    if len(found) > 1:
        raise AmbiguousKey(ref, found)
    return found[0]


def _row(one: KeyInfo) -> tuple[str, ...]:
    expires, used = one["expires_at"], one["last_used_at"]
    return (
        one["id"][:8],
        one["name"],
        one["role"],
        one["team"],
        age(one["created_at"]),
        expires or "never",
        age(used) if used else "-",
    )
