"""The commands `nodewise simulate` and `nodewise replay`: loaded by the CLI through entry points, so imports stay light."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(  # noqa: PLR0913 - one parameter per option of the command
    problem: Annotated[Path, typer.Argument(metavar="PROBLEM.json", help="The problem to simulate.")],
    *,
    policy: Annotated[str | None, typer.Option(help="Order of what waits; else as the services are set.")] = None,
    strategy: Annotated[str | None, typer.Option(help="A strategy, planner or preset (which sets the policy, too); else as the services are set.")] = None,
    objective: Annotated[str | None, typer.Option(help="makespan, mean_flow or balanced; else as the services are set.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Know everything at time 0, and plan once.")] = False,
    budget: Annotated[float | None, typer.Option(help="Seconds that planning may take in all.")] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:  # fmt: skip
    """Say what would happen to the tasks of a problem, decided by the code of production."""
    from nodewise.core.errors import NodewiseError  # noqa: PLC0415 - a command's imports wait for its use
    from nodewise.simulator.request import Request, answer  # noqa: PLC0415 - see above

    request = Request(
        policy=policy,
        strategy=strategy,
        objective=objective,
        offline=offline,
        budget_seconds=budget,
        seed=seed,
        as_json=as_json,
    )
    try:
        answer(request, problem)
    except NodewiseError as error:
        typer.echo(f"nodewise simulate: {error}", err=True)
        raise typer.Exit(2) from error


def replay(  # noqa: PLR0913 - one parameter per option of the command
    *,
    since: Annotated[str, typer.Option("--from", metavar="DATE", help="What was submitted since then (ISO 8601; UTC unless it says).")],
    until: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Until then; a date includes its day. Else until now.")] = None,
    policy: Annotated[str | None, typer.Option(help="Order of what waits; else as the services are set.")] = None,
    strategy: Annotated[str | None, typer.Option(help="A strategy, planner or preset (which sets the policy, too); else as the services are set.")] = None,
    objective: Annotated[str | None, typer.Option(help="makespan, mean_flow or balanced; else as the services are set.")] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Postgres URL; else DATABASE_URL, else the stack started here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:  # fmt: skip
    """Say what recorded history would have been with another policy, strategy or planner."""
    from nodewise.core.errors import NodewiseError  # noqa: PLC0415 - a command's imports wait for its use
    from nodewise.simulator.request import Period, Request, answer_replay  # noqa: PLC0415 - see above

    request = Request(policy=policy, strategy=strategy, objective=objective, seed=seed, as_json=as_json)
    try:
        answer_replay(request, Period(database=database, since=since, until=until))
    except NodewiseError as error:
        typer.echo(f"nodewise replay: {error}", err=True)
        raise typer.Exit(2) from error
