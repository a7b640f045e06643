"""The simulator decides as the live stack does: with its code, its constants and its figures."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest

from nodewise.core import plugins
from nodewise.core.errors import UnknownName, Unplannable
from nodewise.core.model.decision import Decision, Deferral, Reason, ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.problem import TaskId
from nodewise.core.model.task import TaskKind, WaitingTask
from nodewise.core.ports import PlacementContext, Policy, PolicyContext, Strategy
from nodewise.placer import settle
from nodewise.scheduler import service
from nodewise.scheduler.cycle import Queued, Snapshot, plan
from nodewise.simulator import limits as simulated_limits
from nodewise.simulator import queue as simulated_queue
from nodewise.simulator.believing import Believing, spread_of
from nodewise.simulator.desk import Desk
from nodewise.simulator.engine import World, run
from nodewise.simulator.errors import DecisionFailed, Stalled
from nodewise.simulator.live import LiveDecider
from nodewise.simulator.placing import placed
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Outcome, Scenario
from nodewise.simulator.simulation import Choice, simulate
from nodewise.simulator.tables import tables_of
from nodewise.simulator.team import Team
from nodewise.simulator.views import kind_of, moment
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task, random_problem

N1, N2 = a_node("n1"), a_node("n2")


def simulated(
    scenario: Scenario, policy: str = "fifo", strategy: str = "greedy", *, seed: int = 0
) -> Outcome:
    return simulate(scenario, Choice(policy=policy, strategy=strategy, seed=seed))[0]


def decided(scenario: Scenario, policy: Policy, strategy: Strategy) -> Outcome:
    team = Team(
        policy=policy,
        strategy=strategy.name,
        strategies={strategy.name: strategy},
        believed=scenario.believed,
        predict=Believing(scenario.believed),
    )
    return run(World(tables_of(scenario.truth), scenario.failures), LiveDecider(team))


def starts(outcome: Outcome) -> dict[str, float]:
    return {f"{name.pipeline}/{name.task}": done.start for name, done in outcome.assignments.items()}


class WholeQueue:
    """The simple algorithm that `LiveDecider` must equal: show the cycle everything, whenever something happens."""

    def __init__(self, scenario: Scenario, policy: str, strategy: str) -> None:
        self.team = Team(
            policy=plugins.policy(policy),
            strategy=strategy,
            strategies=plugins.strategies(),
            believed=scenario.believed,
            predict=Believing(scenario.believed, spread_of(scenario)),
        )
        self.desk: Desk | None = None

    def decide(self, world: World) -> None:
        desk = self.desk = self.desk or Desk(world, self.team)
        desk.refresh()
        while True:
            queue = tuple(Queued(task=task) for task in desk.queue.tasks(desk.queue.awake()))
            snapshot = Snapshot(queue=queue, cluster=desk.cluster(), running=desk.running())
            context = desk.policy_context(moment(world.now), rng=Random(0))
            policies = {self.team.policy.name: self.team.policy}
            limits = self.team.limits
            decided = plan(
                snapshot, policies, context, max_admitted=limits.max_admitted, ageing=limits.ageing
            )
            if not placed(desk, decided, self.team, rng=Random(0)):
                return


@pytest.mark.parametrize(
    ("policy", "strategy"),
    [
        ("fifo", "greedy"),
        ("shortest", "custom"),
        ("priority", "round_robin"),
        ("balanced", "greedy"),
        ("fair_share", "custom"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_the_cycle_is_not_shown_changes_nothing(policy: str, strategy: str, seed: int) -> None:
    raw = random_problem(seed, pipelines=40, nodes=5, spread=50.0)
    scenario = parse_scenario(raw | {"failures": [["n001", 20, 60], ["n003", 40, 90]]})
    whole = run(World(tables_of(scenario.truth), scenario.failures), WholeQueue(scenario, policy, strategy))
    assert simulated(scenario, policy, strategy) == whole


def test_the_constants_are_those_of_the_live_stack() -> None:
    assert service.BATCHES_ADMITTED == simulated_limits.BATCHES_ADMITTED
    assert timedelta(seconds=simulated_queue.REST_SECONDS) == settle._REST
    assert settle._AT_ONCE == simulated_queue.AT_ONCE


def test_first_come_first_served_on_the_least_loaded_node() -> None:
    first = a_pipeline(a_task("a", {"n1": 5, "n2": 5}), a_task("b", {"n1": 5, "n2": 5}))
    later = a_pipeline(a_task("a", {"n1": 1, "n2": 1}), name="q", submitted_at=1)
    assert starts(simulated(a_scenario([N1, N2], first, later))) == {"p/a": 0, "p/b": 0, "q/a": 5}


def test_the_shortest_by_estimate_goes_first() -> None:
    tasks = [a_task("a", {"n1": 1}, estimate=9), a_task("b", {"n1": 8}, estimate=2)]
    assert starts(simulated(a_scenario([N1], a_pipeline(*tasks)), "shortest")) == {"p/b": 0, "p/a": 8}


def test_a_higher_priority_goes_first() -> None:
    task = a_task("a", {"n1": 2})
    low, high = a_pipeline(task, name="low"), a_pipeline(task, name="high", priority=5)
    assert starts(simulated(a_scenario([N1], low, high), "priority")) == {"high/a": 0, "low/a": 2}


def test_slots_hold_for_tasks_that_are_placed_together() -> None:
    tasks = [a_task(name, {"n1": 2}, millicores=0) for name in "abcd"]
    outcome = simulated(a_scenario([a_node(slots=2)], a_pipeline(*tasks)))
    assert sorted(starts(outcome).values()) == [0, 0, 2, 2]


def test_more_than_a_batch_starts_at_once() -> None:
    node = a_node(slots=None, millicores=1_000_000)
    tasks = [a_task(f"t{i}", {"n1": 2}, millicores=1000, memory_mib=1) for i in range(500)]
    assert set(starts(simulated(a_scenario([node], a_pipeline(*tasks)))).values()) == {0}


def test_evaluation_stays_where_its_pipeline_ran() -> None:
    tasks = (
        a_task("a", {"n2": 1}),
        a_task("b", {"n1": 1, "n2": 1}, after=[("a", 0)], **{"class": "evaluate/svm"}),
    )
    outcome = simulated(a_scenario([N1, N2], a_pipeline(*tasks)), strategy="custom")
    assert outcome.assignments[TaskId(pipeline="p", task="b")].node == "n2"


@pytest.mark.parametrize(("policy", "strategy"), [("random", "random"), ("fifo", "greedy"), ("fifo", "heft")])
def test_equal_seeds_give_equal_outcomes(policy: str, strategy: str) -> None:
    scenario = parse_scenario(random_problem(3, pipelines=15, nodes=4, spread=20.0))
    again = parse_scenario(random_problem(3, pipelines=15, nodes=4, spread=20.0))
    assert simulated(scenario, policy, strategy, seed=7) == simulated(again, policy, strategy, seed=7)


def test_another_seed_gives_another_random_outcome() -> None:
    scenario = parse_scenario(random_problem(3, pipelines=15, nodes=4))
    assert simulated(scenario, "random", "random", seed=1) != simulated(scenario, "random", "random", seed=2)


class Waits:
    """Takes no node before noon, so to say; `until` is a simulated second."""

    name = "waits"
    summary = "Waits."

    def __init__(self, until: float, code: ReasonCode = ReasonCode.STRATEGY_RULE) -> None:
        self.until, self.code = until, code

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        if context.now < moment(self.until):
            return [Deferral(ref=task.ref, reason=Reason(code=self.code, text="not yet")) for task in tasks]
        return plugins.strategy("greedy").place(tasks, cluster, context)


def test_a_strategy_that_waits_is_asked_again_after_a_rest() -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 2})))
    assert starts(decided(scenario, plugins.policy("fifo"), Waits(0.5))) == {"p/a": 1}


@pytest.mark.parametrize("code", [ReasonCode.STRATEGY_RULE, ReasonCode.NO_ROOM, ReasonCode.LOST_RACE])
def test_a_strategy_that_waits_for_ever_is_told(code: ReasonCode) -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 2})))
    with pytest.raises(Stalled):
        decided(scenario, plugins.policy("fifo"), Waits(1e11, code))


class Broken:
    name = "broken"
    summary = "Forgets a task, or fails."

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        if self.fails:
            raise KeyError("oops")
        return [task.ref for task in waiting[1:]]


@pytest.mark.parametrize(("fails", "what"), [(True, "failed: KeyError"), (False, "every task exactly once")])
def test_a_broken_policy_is_told(fails: bool, what: str) -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 2})))
    with pytest.raises(DecisionFailed, match=what):
        decided(scenario, Broken(fails=fails), plugins.strategy("greedy"))


def test_unknown_names_list_the_known_ones() -> None:
    scenario = a_scenario([N1])
    with pytest.raises(UnknownName, match="fifo"):
        simulated(scenario, policy="nope")
    with pytest.raises(UnknownName, match=r"greedy.*heft"):
        simulated(scenario, strategy="nope")


def test_a_task_that_is_too_large_for_every_node_is_refused() -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 2}, millicores=5000)))
    with pytest.raises(Unplannable, match="p/a"):
        simulated(scenario)


@pytest.mark.parametrize(
    ("task_class", "kind"),
    [
        ("train/cnn", TaskKind.TRAINING), ("training/cnn", TaskKind.TRAINING), ("preprocess", TaskKind.PREPROCESSING),
        ("evaluate/svm", TaskKind.EVALUATION), ("tra", TaskKind.OTHER), ("other", TaskKind.OTHER), ("", TaskKind.OTHER),
    ],
)  # fmt: skip
def test_a_class_names_the_kind(task_class: str, kind: TaskKind) -> None:
    assert kind_of(task_class) is kind
