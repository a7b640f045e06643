"""`nodewise submit`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nodewise.core.errors import UnknownName
from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import print_json
from nodewise.sdk.cli.reporting import fail

if TYPE_CHECKING:
    from nodewise.sdk import CompiledPipeline
    from nodewise.sdk.client import Run


Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE[:NAME]", help="file.py:pipeline, file.py with one pipeline, or a compiled YAML or JSON."
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter; JSON or text. Repeatable."),
]
Strategy = Annotated[str | None, typer.Option(help="How nodes are chosen, or a preset.")]
Policy = Annotated[str | None, typer.Option(help="In which order tasks are considered.")]
Priority = Annotated[int | None, typer.Option(help="Higher goes first (policy `priority`).")]
Deadline = Annotated[str | None, typer.Option(help="From now (2h, 1d12h) or a time (RFC 3339).")]
Team = Annotated[str | None, typer.Option(help="On whose account.")]
Engine = Annotated[str | None, typer.Option(help="Where it runs: agents, kubernetes or kubeflow.")]


def submit(  # noqa: PLR0913 (one argument per option of the command)
    target: Target,
    *,
    param: Params = None,
    strategy: Strategy = None,
    policy: Policy = None,
    priority: Priority = None,
    deadline: Deadline = None,
    team: Team = None,
    engine: Engine = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY=VALUE", help="Free text to find it by. Repeatable."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every task anew, whatever its author said of caching.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to the end; exit code 0 only if it succeeded.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit a pipeline."""
    from nodewise.sdk import load_submission  # noqa: PLC0415

    compiled = load_submission(target)
    parameters = read_parameters(compiled, pairs(param or (), option="-p"))
    labels = pairs(label or (), option="--label")
    until = read_deadline(deadline)
    with connect(url) as client:
        run = client.submit(
            compiled, parameters=parameters, name=name, policy=policy, strategy=strategy,
            priority=priority, deadline=until, team=team, labels=labels, engine=engine,
            cache=False if no_cache else None,
        )  # fmt: skip
    _warn_of_what_cannot_run(run)
    if not as_json:
        typer.echo(f"{run.id}  {run.name}  {run.state}")
    elif not watch:
        print_json(run.info)
    if watch:
        _watch(run.id, url=url, as_json=as_json)


def _warn_of_what_cannot_run(run: Run) -> None:
    """Say on stderr which tasks no node can take as the cluster is now. They are submitted all the same."""
    for found in run.findings:
        named = ", ".join(found["paths"])
        more = (
            f" and {found['tasks'] - len(found['paths'])} more"
            if found["tasks"] > len(found["paths"])
            else ""
        )
        what = "task" if found["tasks"] == 1 else "tasks"
        typer.echo(f"warning: {what} {named}{more} cannot run now: {found['text']}", err=True)


def _watch(run_id: str, *, url: str | None, as_json: bool) -> NoReturn:
    from nodewise.sdk.cli.watch import follow  # noqa: PLC0415

    ended = follow(run_id, url=url, quiet=as_json)
    if as_json:
        print_json(ended.info)
    raise typer.Exit(0 if ended.succeeded else 1)


def read_deadline(text: str | None) -> str | None:
    """RFC 3339 of what the user said; ends the command where that is no deadline."""
    from nodewise.sdk.client.submission import deadline_text  # noqa: PLC0415

    try:
        return deadline_text(text)
    except ValueError as error:
        fail(str(error), code=2)


def pairs(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """`KEY=VALUE` texts as a mapping; ends the command where one is not."""
    for text in texts:
        if not text.partition("=")[1] or not text.partition("=")[0].strip():
            fail(f"{option} {text}: expected KEY=VALUE", code=2)
    return {key.strip(): value for key, _, value in (text.partition("=") for text in texts)}


def read_parameters(compiled: CompiledPipeline, given: Mapping[str, str]) -> dict[str, Any]:
    """Texts as the types that the pipeline declares; what is no JSON stays text, for the API to judge.

    Raises:
        UnknownName: The pipeline has no such parameter; names those it has.
    """
    declared = compiled.pipeline_spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    for key in given:
        if key not in declared:
            raise UnknownName("parameter", key, sorted(declared) or ["(the pipeline takes none)"])
    return {key: _value(text, declared[key].get("parameterType")) for key, text in given.items()}


def _value(text: str, kind: str | None) -> Any:
    if kind == "STRING":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
