"""The commands up, down and doctor of `nodewise`. Imports are inside: every start of the CLI reads this module."""

import os
from pathlib import Path
from typing import Annotated

import typer

_Home = Annotated[
    Path | None,
    typer.Option(help="Folder of the data; else NODEWISE_HOME, else the nearest .nodewise upward."),
]


def up(  # noqa: PLR0913 - one parameter per option of the command
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when ready; go on behind.")] = False,
    agents: Annotated[int, typer.Option(help="Node agents to start here.")] = 4,
    placers: Annotated[int, typer.Option(help="Placers to start.")] = 1,
    policy: Annotated[str | None, typer.Option(help="Policy of runs that name none.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Strategy of runs that name none; or a preset, for both.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; else a free one.")] = None,
    bind: Annotated[
        str, typer.Option(help="Address to listen on, for further machines; 0.0.0.0: all of them.")
    ] = "127.0.0.1",
    store: Annotated[
        str | None, typer.Option(help="URL of the artifact store; else NODEWISE_STORE_URL, else in the home.")
    ] = None,
    container_runtime: Annotated[
        str | None,
        typer.Option(
            help="docker, podman or a path, for components with their own image; else NODEWISE_CONTAINER_RUNTIME."
        ),
    ] = None,
    home: _Home = None,
) -> None:
    """Start Nodewise on this machine: Postgres, Valkey, all services, and agents."""
    from rich.console import Console  # noqa: PLC0415

    from nodewise.core.errors import NodewiseError  # noqa: PLC0415
    from nodewise.stack import launch  # noqa: PLC0415
    from nodewise.stack.choice import chosen  # noqa: PLC0415
    from nodewise.stack.detach import up_detached  # noqa: PLC0415
    from nodewise.stack.home import find_home  # noqa: PLC0415
    from nodewise.stack.plan import Options  # noqa: PLC0415
    from nodewise.stack.report import TerminalReporter  # noqa: PLC0415

    report = TerminalReporter(Console(), Console(stderr=True), detached=detach)
    try:
        options = Options(
            agents=agents,
            placers=placers,
            policy=policy,
            strategy=strategy,
            port=port,
            bind=bind,
            store=store,
            container_runtime=container_runtime,
        )
        folder = find_home(home, os.environ)
        code = (up_detached if detach else launch.up)(folder, chosen(options, os.environ), report)
    except NodewiseError as error:
        report.failed(str(error))
        code = 1
    raise typer.Exit(code)


def down(*, home: _Home = None) -> None:
    """Stop all that `nodewise up` started; the data stays."""
    from nodewise.stack import halt  # noqa: PLC0415
    from nodewise.stack.home import find_home  # noqa: PLC0415

    typer.echo(halt.down(find_home(home, os.environ)))


def doctor(*, home: _Home = None) -> None:
    """Check this machine and what runs on it; exit code 1 when something is broken."""
    from rich.console import Console  # noqa: PLC0415

    from nodewise.stack.doctor import Level, examine  # noqa: PLC0415
    from nodewise.stack.home import find_home  # noqa: PLC0415

    console = Console()
    failed = False
    for finding in examine(find_home(home, os.environ), os.environ):
        console.print(finding.line(), markup=False, highlight=False, soft_wrap=True)
        failed = failed or finding.level is Level.FAIL
    raise typer.Exit(1 if failed else 0)
