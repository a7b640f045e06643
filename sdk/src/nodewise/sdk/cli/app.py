"""Puts the commands together: ours, and those that other portions offer by entry point."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nodewise.core.errors import NodewiseError
from nodewise.sdk.cli import (
    artifacts,
    audit,
    cluster,
    compilation,
    data,
    keys,
    nodes,
    plan,
    prune,
    quota,
    runs,
    schedule,
    submit,
    watch,
)
from nodewise.sdk.cli.plugins import offered_commands
from nodewise.sdk.cli.reporting import debugging, fail


class NodewiseGroup(TyperGroup):
    """Adds the commands of installed portions, and says every error of ours in one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Stack first, then runs, then the rest: the order in which a newcomer needs them."""
        return list(dict.fromkeys([*offered_commands(), *super().list_commands(ctx)]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Ours win over a portion's of the same name."""
        return super().get_command(ctx, cmd_name) or offered_commands().get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; NODEWISE_DEBUG=1 shows the traceback of an error."""
        try:
            return super().invoke(ctx)
        except (NodewiseError, TimeoutError) as error:
            if debugging():
                raise
            fail(str(error))


app = typer.Typer(
    cls=NodewiseGroup,
    name="nodewise",
    help="Decides when and where every task of an ML pipeline runs, starts it there, and says why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the installed version."
        ),
    ] = False,
) -> None:
    """Decides when and where every task of an ML pipeline runs, starts it there, and says why."""


app.command("submit")(submit.submit)
app.command("compile")(compilation.compile_)
app.command("plan")(plan.plan)
app.command("ls")(runs.ls)
app.command("get")(runs.get)
app.command("watch")(watch.watch)
app.command("logs")(runs.logs)
app.command("artifact")(artifacts.artifact)
app.command("cancel")(runs.cancel)
app.command("retry")(runs.retry)
app.command("archive")(runs.archive)
app.command("explain")(runs.explain)
app.add_typer(nodes.app, name="nodes")
app.command("queue")(cluster.queue)
app.command("audit")(audit.audit)
app.command("quota")(quota.quota)
app.command("prune")(prune.prune)
app.command("strategies")(cluster.strategies)
app.command("policies")(cluster.policies)
app.add_typer(data.app, name="data")
app.add_typer(schedule.app, name="schedule")
app.add_typer(keys.app, name="keys")


@app.command()
def version() -> None:
    """Print the installed version."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(f"nodewise {installed('nodewise-sdk')}")
