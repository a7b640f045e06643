"""What the commands ask for, checked, and their answers on the terminal."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from pydantic import ValidationError
from rich.console import Console

from nodewise.core import plugins
from nodewise.core.errors import NodewiseError, UnknownName
from nodewise.core.model.problem import Objective
from nodewise.core.settings import Settings
from nodewise.placer.options import load_options
from nodewise.simulator.histories import recorded_problem
from nodewise.simulator.limits import Limits
from nodewise.simulator.problem_file import read_scenario
from nodewise.simulator.replay import replay
from nodewise.simulator.replay_page import print_replay, replay_document
from nodewise.simulator.result import print_result, result_document
from nodewise.simulator.scenario import Outcome
from nodewise.simulator.simulation import Choice, check_names, simulate

_WIDTH_OF_A_FILE: Final = 120
"""Columns of the table where the output is not a terminal."""

_TOLERATED: Final = 0.1
"""Over a budget by up to such a share is not worth a word."""


class InvalidRequest(NodewiseError):
    """An option that breaks a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What both commands ask; None: as the services are set."""

    policy: str | None = None
    strategy: str | None = None
    objective: str | None = None
    offline: bool = False
    budget_seconds: float | None = None
    seed: int = 0
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which history is meant; see `histories.recorded_problem`."""

    database: str | None
    since: str | None
    until: str | None


def answer(request: Request, file: Path) -> None:
    """Simulate the problem of a file and print.

    Raises:
        NodewiseError: The problem, a name or an option is not what it should be; nothing was printed.
    """
    choice = choice_of(request)
    scenario = read_scenario(file)
    outcome, seconds = simulate(scenario, choice)
    document = result_document(
        scenario.truth,
        outcome,
        objective=choice.objective,
        planning_seconds=seconds,
        budget_seconds=choice.budget_seconds,
    )
    said = note(choice, outcome, seconds)
    if request.as_json:
        typer.echo(json.dumps(document))
        if said:
            typer.echo(said, err=True)
        return
    when = "one plan for all" if choice.offline else "as things happen"
    title = f"{file}: {choice.policy}, {choice.strategy}, {when}"
    print_result(document, _console(), title=title, note=said)


def note(choice: Choice, outcome: Outcome, seconds: float) -> str:
    """What was done without planning, if anything was, and where the budget was too small even for that."""
    return "\n".join(filter(None, (_unplanned(choice, outcome), _overrun(choice, seconds))))


def _overrun(choice: Choice, seconds: float) -> str:
    budget = choice.budget_seconds
    if not budget or seconds <= budget * (1 + _TOLERATED):
        return ""
    return f"budget of {budget:g} s: too little for the quickest decisions that there are, which took {seconds:.1f} s"


def _unplanned(choice: Choice, outcome: Outcome) -> str:
    if not outcome.unplanned:
        return ""
    done = "" if outcome.unplanned < len(outcome.assignments) else "nothing was planned: "
    return (
        f"budget of {choice.budget_seconds:g} s: {done}{outcome.unplanned} of {len(outcome.assignments)} tasks were placed "
        "when it was spent, each as planned last or where it was believed to end first"
    )


def answer_replay(request: Request, period: Period) -> None:
    """Simulate what was recorded in a period and print it beside what happened.

    Raises:
        NodewiseError: A name, an option or the period is not what it should be; nothing was printed.
    """
    choice = choice_of(request)
    check_names(choice)
    document = recorded_problem(period.database, since=period.since, until=period.until)
    found = replay(document, choice)
    if request.as_json:
        typer.echo(json.dumps(replay_document(found)))
    else:
        print_replay(found, _console())


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_A_FILE)


def choice_of(request: Request) -> Choice:
    """Who decides; what the options leave open is decided as in the services of this environment.

    Raises:
        UnknownName: No such objective.
        InvalidRequest: The budget is no amount of seconds, or the environment's settings do not parse.
        InvalidOptions: The environment's options of strategies are not what they should be.
    """
    if request.objective is not None and request.objective not in list(Objective):
        raise UnknownName("objective", request.objective, list(Objective))
    budget = request.budget_seconds
    if budget is not None and (not math.isfinite(budget) or budget < 0):
        raise InvalidRequest(f"--budget must be a number of seconds, is {budget}")
    settings = settings_here()
    policy, strategy = _names(request, settings)
    return Choice(
        policy=policy,
        strategy=strategy,
        objective=Objective(request.objective or settings.objective),
        offline=request.offline,
        budget_seconds=budget,
        seed=request.seed,
        limits=limits_of(settings),
    )


def _names(request: Request, settings: Settings) -> tuple[str, str]:
    """Policy and strategy, as a submission would get them: a preset names both, and a policy beside it wins over its own."""
    named = request.strategy or settings.strategy
    preset = plugins.presets().get(named)
    if preset is None:
        return request.policy or settings.policy, named
    # A preset of the settings yields to the settings' own policy: its strategy alone is the default.
    of_preset = settings.policy if request.strategy is None else preset.policy
    return request.policy or of_preset, preset.strategy


def settings_here() -> Settings:
    """The settings that the services would have in this environment.

    Raises:
        InvalidRequest: They do not parse; names the first that does not.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def limits_of(settings: Settings) -> Limits:
    """What bounds the decisions of services with these settings."""
    return Limits(
        ageing=settings.ageing,
        placement_batch=settings.placement_batch,
        planning_horizon=settings.planning_horizon,
        team_shares=settings.team_shares,
        strategy_options=load_options(settings.strategy_options, plugins.strategies()),
    )
