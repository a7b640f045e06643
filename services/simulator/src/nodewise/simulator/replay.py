"""Recorded history through another choice: what happened, what the simulator makes of it, and what it would have been."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodewise.core.errors import NodewiseError
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Assignment, TaskId
from nodewise.simulator.metrics import Figures, figures
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Outcome, Scenario
from nodewise.simulator.simulation import Choice, simulate

FIGURES = ("makespan", "mean_flow", "mean_wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One way that it went or would have gone. `moved` counts the tasks on another node than they ran on."""

    policy: str
    strategy: str
    figures: Figures
    moved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Three ways side by side.

    Attributes:
        recorded: What happened, with the choice of most runs.
        resimulated: The same choice in the simulator (None: see `why_not`).
        asked: The choice that was asked for.
        runs: How many runs there were.
        tasks: How many tasks.
        choices: How many different choices decided the recorded runs.
    """

    recorded: Told
    resimulated: Told | None
    asked: Told
    runs: int
    tasks: int
    choices: int
    why_not: str = ""


def replay(document: Mapping[str, Any], choice: Choice) -> Replay:
    """Simulate a history (a problem document with `recorded` beside) with another choice.

    Where runs were decided by several choices, that of most runs stands for all in the simulation.

    Raises:
        NodewiseError: The choice cannot be simulated; see `simulate`.
    """
    scenario = parse_scenario(document)
    happened = _outcome(document["recorded"])
    choices = document["recorded"]["choices"]
    policy, strategy = choices[0]["policy"], choices[0]["strategy"]
    resimulated, why_not = None, ""
    try:
        former = Choice(
            policy=policy,
            strategy=strategy,
            objective=choice.objective,
            seed=choice.seed,
            limits=choice.limits,
        )
        resimulated = _told(scenario, former, happened)
    except NodewiseError as error:
        why_not = str(error)
    return Replay(
        recorded=Told(policy=policy, strategy=strategy, figures=figures(scenario.truth, happened)),
        resimulated=resimulated,
        asked=_told(scenario, choice, happened),
        runs=len(scenario.truth.pipelines),
        tasks=len(happened.assignments),
        choices=len(choices),
        why_not=why_not,
    )


def _told(scenario: Scenario, choice: Choice, happened: Outcome) -> Told:
    outcome, _ = simulate(scenario, choice)
    moved = sum(done.node != happened.assignments[name].node for name, done in outcome.assignments.items())
    found = figures(scenario.truth, outcome)
    return Told(policy=choice.policy, strategy=choice.strategy, figures=found, moved=moved)


def _outcome(recorded: Mapping[str, Any]) -> Outcome:
    assignments, ready = {}, {}
    for row in recorded["schedule"]:
        key = TaskId(pipeline=row["pipeline"], task=row["task"])
        assignments[key] = Assignment(id=key, node=NodeName(row["node"]), start=row["start"], end=row["end"])
        ready[key] = row["ready"]
    return Outcome(assignments=assignments, ready_at=ready)


def savings(before: Figures, after: Figures) -> dict[str, float | None]:
    """By which share each figure is less than before; None where it was nothing."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in FIGURES}
    return {name: 1 - now / was if was > 0 else None for name, (was, now) in pairs.items()}
