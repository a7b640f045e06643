"""Every strategy that is installed keeps the contract."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from nodewise.core import plugins
from nodewise.core.model.decision import Decision, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.ports import Strategy
from nodewise.placer.mapping import MappingContext, map_tasks
from tests.contracts.strategy_contract import Problem, StrategyContract, checked, problems
from tests.support.builders import NOON, a_cluster, a_node, a_task, placement_context


class TestCustom(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("custom")


class TestCustomThatWaits(StrategyContract):
    waits_although_it_could_place = True

    def make(self) -> Strategy:
        return plugins.strategy("custom")

    def place(self, problem: Problem, seed: int = 7) -> list[Decision]:
        options: dict[str, Any] = {
            "fallback": "wait",
            "rules": [{"name": "picky", "worker_types": ["high-cpu"], "architectures": ["arm64"]}],
        }
        return super().place(Problem(problem.tasks, problem.cluster, problem.previous, options), seed)


class TestGreedy(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("greedy")


class TestPlanned(StrategyContract):
    """All strategies of planners are one: see `test_strategies_of_planners_carry_out_plans_alike`."""

    def make(self) -> Strategy:
        return plugins.strategy("portfolio")


class TestRandom(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("random")


class TestRoundRobin(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("round_robin")


def test_every_installed_strategy_has_its_contract_tests() -> None:
    tested = {
        case().make().name for case in (TestCustom, TestGreedy, TestPlanned, TestRandom, TestRoundRobin)
    }
    assert tested | set(plugins.planners()) == set(plugins.strategies())


def test_strategies_of_planners_carry_out_plans_alike() -> None:
    strategies, portfolio = plugins.strategies(), type(plugins.strategy("portfolio"))
    for name, planner in plugins.planners().items():
        assert strategies[name].summary == planner.summary
        assert type(strategies[name]).place is portfolio.place, name


def test_presets_name_policies_and_strategies_that_exist() -> None:
    presets = plugins.presets()
    ours = {
        "random_random", "fifo_random", "fifo_round_robin", "fifo_greedy", "custom",
        "balanced", "fair", "deadline_first", "shortest_eft",
    }  # fmt: skip
    assert set(presets) == ours
    assert all(plugins.policy(preset.policy) for preset in presets.values())
    assert all(plugins.strategy(preset.strategy) for preset in presets.values())
    assert (presets["custom"].policy, presets["custom"].strategy) == ("shortest", "custom")
    assert (presets["balanced"].policy, presets["balanced"].strategy) == ("balanced", "portfolio")


def test_a_name_that_is_a_strategy_and_a_preset_means_that_strategy_either_way() -> None:
    both = plugins.presets().keys() & plugins.strategies().keys()
    assert {name: plugins.presets()[name].strategy for name in both} == {name: name for name in both}


def test_the_check_of_the_contract_refuses_what_breaks_it() -> None:
    tasks = [a_task("a", cores=1), a_task("b", cores=1)]
    problem = Problem(tasks, a_cluster(a_node("n1", cores=1)))
    overbooked = [
        Placement(ref=task.ref, node=NodeName("n1"), reason=Reason(code=ReasonCode.PLACED, text="because"))
        for task in tasks
    ]
    with pytest.raises(AssertionError, match="on n1"):
        checked(problem, overbooked)


@given(problems())
def test_mapping_with_several_strategies_keeps_the_contract(problem: Problem) -> None:
    names = ["greedy", "round_robin", "random", "custom", "portfolio", "heft", "absent"]
    tasks = [replace(task, strategy=names[index % len(names)]) for index, task in enumerate(problem.tasks)]
    context = MappingContext(
        strategies=plugins.strategies(), now=NOON, rng=placement_context().rng, previous_node=problem.previous
    )
    mixed = Problem(tasks, problem.cluster)
    checked(mixed, map_tasks(tasks, problem.cluster, context))
