"""Without options a simulation decides as the live stack is set: the same figures from the same source."""

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from nodewise.api.choice import choose
from nodewise.core import plugins
from nodewise.core.errors import InvalidOptions
from nodewise.core.model.problem import Objective
from nodewise.core.settings import Settings
from nodewise.scheduler import service
from nodewise.simulator.believing import Believing
from nodewise.simulator.desk import Desk
from nodewise.simulator.engine import World
from nodewise.simulator.limits import Limits
from nodewise.simulator.planned import PlanningDecider
from nodewise.simulator.request import Request, choice_of, limits_of
from nodewise.simulator.tables import tables_of
from nodewise.simulator.team import Team
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task

NOTHING_SAID = Request()
ANYTHING = cast("Any", None)


def test_what_is_not_said_is_as_the_services_are_set() -> None:
    choice, settings = choice_of(NOTHING_SAID), Settings()
    assert (choice.policy, choice.strategy, choice.objective) == (
        settings.policy,
        settings.strategy,
        settings.objective,
    )
    assert choice.limits == limits_of(settings)


@pytest.mark.parametrize("default", ["portfolio", "fifo_round_robin"])
@pytest.mark.parametrize("policy", [None, "priority"])
@pytest.mark.parametrize("strategy", [None, *plugins.presets(), "heft", "greedy"])
def test_names_mean_what_they_mean_to_submit(
    monkeypatch: pytest.MonkeyPatch, default: str, policy: str | None, strategy: str | None
) -> None:
    monkeypatch.setenv("NODEWISE_STRATEGY", default)
    choice = choice_of(Request(policy=policy, strategy=strategy))
    submitted = choose(policy, strategy, Settings())
    assert (choice.policy, choice.strategy) == (submitted.policy, submitted.strategy)


def test_the_environment_sets_the_services_and_so_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"OBJECTIVE": "makespan", "AGEING_SECONDS": "60", "TEAM_SHARES": '{"a": 2}'}.items():
        monkeypatch.setenv(f"NODEWISE_{name}", value)
    choice = choice_of(NOTHING_SAID)
    assert choice.objective is Objective.MAKESPAN
    assert (choice.limits.ageing, choice.limits.team_shares) == (timedelta(seconds=60), {"a": 2.0})


def test_the_rules_of_strategies_count_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"nope": {}}), encoding="utf-8")
    monkeypatch.setenv("NODEWISE_STRATEGY_OPTIONS", str(file))
    with pytest.raises(InvalidOptions, match="nope"):
        choice_of(NOTHING_SAID)


def test_defaults_are_those_of_settings_that_nobody_touched() -> None:
    assert limits_of(Settings()) == Limits()


def test_the_scheduler_and_the_simulator_plan_on_the_same_terms() -> None:
    settings = Settings(planning_horizon=77, objective=Objective.MEAN_FLOW, link_mib_per_s=30)
    live = service.Scheduler(
        engine=ANYTHING, waker=ANYTHING, settings=settings, policies=plugins.policies(), planners=plugins.planners(),
        loader=ANYTHING, rng=ANYTHING, clock=ANYTHING,
    )._planning(math.inf)  # fmt: skip
    links = {"default_mib_per_s": 30}
    scenario = a_scenario([a_node()], a_pipeline(a_task("a", {"n1": 1})), links=links)
    team = Team(
        policy=plugins.policy("balanced"),
        strategy="heft",
        strategies=plugins.strategies(),
        believed=scenario.believed,
        predict=Believing(scenario.believed),
        objective=settings.objective,
        limits=limits_of(settings),
    )
    world = World(tables_of(scenario.truth))
    simulated = PlanningDecider(team, plugins.planner("heft"))._planning(Desk(world, team), keeps=False)
    assert simulated.planners.items() <= live.planners.items()
    for name in ("objective", "horizon", "link_mib_per_s"):
        assert getattr(simulated, name) == getattr(live, name)
    assert team.limits.max_admitted == service.BATCHES_ADMITTED * settings.placement_batch
    assert team.limits.ageing == settings.ageing
