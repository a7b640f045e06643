"""Plans in the simulator: carried out offline, remade online."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from nodewise.core import plugins
from nodewise.core.model.problem import PlanningContext, Problem, Schedule
from nodewise.planning import PLANNERS
from nodewise.simulator.believing import Believing
from nodewise.simulator.budget import Budget
from nodewise.simulator.engine import World, run
from nodewise.simulator.errors import DecisionFailed, Stalled
from nodewise.simulator.limits import Limits
from nodewise.simulator.metrics import figures
from nodewise.simulator.planned import PlanningDecider
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Outcome, Scenario
from nodewise.simulator.simulation import Choice, follow, simulate
from nodewise.simulator.tables import tables_of
from nodewise.simulator.team import Team
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task, random_problem
from tests.unit.planning.proof.problems import at, key, schedule

N1, N2 = a_node("n1"), a_node("n2")


def times(outcome: Outcome) -> dict[str, tuple[str, float, float]]:
    return {name.task: (done.node, done.start, done.end) for name, done in outcome.assignments.items()}


def test_with_true_estimates_a_plan_happens_as_planned() -> None:
    raw = random_problem(5, pipelines=10, nodes=4, spread=30.0)
    truth = parse_scenario(raw).truth
    planned = PLANNERS["heft"].plan(truth, PlanningContext(rng=Random(0)))
    happened = follow(Scenario(truth=truth, believed=truth), planned).assignments
    assert {name: found.node for name, found in happened.items()} == {
        name: found.node for name, found in planned.assignments.items()
    }
    assert all(found.end <= planned.assignments[name].end + 1e-9 for name, found in happened.items())


def test_starts_shift_and_nodes_and_order_stay_when_estimates_were_wrong() -> None:
    tasks = [a_task("a", {"n1": 5, "n2": 5}, estimate=1), a_task("b", {"n1": 1, "n2": 1}, estimate=2)]
    scenario = a_scenario([N1, N2], a_pipeline(*tasks))
    planned = schedule(at(key("a"), "n1", 0, 1), at(key("b"), "n1", 1, 3))
    assert times(follow(scenario, planned)) == {"a": ("n1", 0, 5), "b": ("n1", 5, 6)}


def test_a_plan_waits_for_data_and_submission() -> None:
    tasks = (a_task("a", {"n1": 4}), a_task("b", {"n2": 1}, after=[("a", 200)]), a_task("c", {"n2": 1}))
    scenario = a_scenario([N1, N2], a_pipeline(*tasks, submitted_at=3))
    planned = schedule(at(key("a"), "n1", 0, 1), at(key("b"), "n2", 3, 4), at(key("c"), "n2", 9, 10))
    assert times(follow(scenario, planned)) == {"a": ("n1", 3, 7), "b": ("n2", 9, 10), "c": ("n2", 10, 11)}


def test_tasks_of_no_length_keep_their_order() -> None:
    tasks = (a_task("b", {"n1": 0}, after=[("a", 0)]), a_task("a", {"n1": 0}))
    planned = schedule(at(key("a"), "n1", 5, 5), at(key("b"), "n1", 5, 5))
    assert times(follow(a_scenario([N1], a_pipeline(*tasks)), planned))["b"] == ("n1", 0, 0)


def test_a_plan_goes_on_when_its_node_is_back() -> None:
    tasks = (a_task("a", {"n1": 4}), a_task("b", {"n1": 1}))
    scenario = a_scenario([N1], a_pipeline(*tasks), failures=[["n1", 3, 10]])
    planned = schedule(at(key("a"), "n1", 0, 4), at(key("b"), "n1", 4, 5))
    assert times(follow(scenario, planned)) == {"a": ("n1", 10, 14), "b": ("n1", 14, 15)}


def test_offline_a_strategy_plans_by_deciding_on_what_is_believed() -> None:
    tasks = [a_task("a", {"n1": 1}, estimate=9), a_task("b", {"n1": 8}, estimate=2)]
    scenario = a_scenario([N1], a_pipeline(*tasks))
    outcome, _ = simulate(scenario, Choice(policy="shortest", strategy="greedy", offline=True))
    assert times(outcome) == {"b": ("n1", 0, 8), "a": ("n1", 8, 9)}


def test_offline_knows_what_arrives_later() -> None:
    soon = a_pipeline(a_task("soon", {"n1": 2, "n2": 2.5}), name="soon")
    later = a_pipeline(a_task("later", {"n1": 1}), name="later", submitted_at=1)
    scenario = a_scenario([N1, N2], soon, later)
    found = simulate(scenario, Choice(policy="fifo", strategy="portfolio", offline=True))[0]
    assert figures(scenario.truth, found).makespan == 2.5


class Counting:
    """HEFT, counting its problems."""

    name = "heft"
    summary = "counts"

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        self.problems.append(problem)
        return PLANNERS["heft"].plan(problem, context)


def planned(scenario: Scenario, policy: str = "balanced") -> tuple[Counting, Outcome]:
    planner = Counting()
    team = Team(
        policy=plugins.policy(policy),
        strategy="heft",
        strategies=plugins.strategies(),
        believed=scenario.believed,
        predict=Believing(scenario.believed),
    )
    world = World(tables_of(scenario.truth), scenario.failures)
    return planner, run(world, PlanningDecider(team, planner))


def test_online_a_plan_is_remade_when_a_pipeline_arrives() -> None:
    node, late = a_node("n1", slots=2), a_pipeline(a_task("b", {"n1": 1}), name="q", submitted_at=2)
    planner, outcome = planned(a_scenario([node], a_pipeline(a_task("a", {"n1": 4})), late))
    assert [[p.name for p in problem.pipelines] for problem in planner.problems] == [["p"], ["p", "q"]]
    assert planner.problems[1].fixed[key("a")] == at(key("a"), "n1", -2, 2)
    assert times(outcome) == {"a": ("n1", 0, 4), "b": ("n1", 2, 3)}


def test_online_a_plan_is_remade_when_an_estimate_was_wrong() -> None:
    tasks = [a_task("a", {"n1": 1}, estimate=4), a_task("b", {"n1": 4}), a_task("c", {"n1": 4})]
    planner, _ = planned(a_scenario([N1], a_pipeline(*tasks)))
    assert len(planner.problems) > 1


def test_online_nothing_is_planned_while_nothing_could_start() -> None:
    late = a_pipeline(a_task("b", {"n1": 1}), name="q", submitted_at=2)
    planner, outcome = planned(a_scenario([N1], a_pipeline(a_task("a", {"n1": 4})), late))
    assert [[p.name for p in problem.pipelines] for problem in planner.problems] == [["p"], ["q"]]
    assert times(outcome)["b"] == ("n1", 4, 5)


def test_online_a_plan_is_remade_when_a_node_fails() -> None:
    tasks = [a_task("a", {"n1": 4, "n2": 6}), a_task("b", {"n1": 4, "n2": 20}, after=[("a", 0)])]
    _, outcome = planned(a_scenario([N1, N2], a_pipeline(*tasks), failures=[["n1", 2, 50]]))
    assert times(outcome) == {"a": ("n2", 2, 8), "b": ("n2", 8, 28)}


def test_online_the_data_of_tasks_to_come_is_reckoned_with() -> None:
    far = a_task("b", {"n1": 5, "n2": 3}, after=[("a", 400)])
    scenario = a_scenario([N1, N2], a_pipeline(a_task("a", {"n1": 2, "n2": 2}), far))
    outcome = simulate(scenario, Choice(policy="balanced", strategy="portfolio"))[0]
    assert times(outcome) == {"a": ("n2", 0, 2), "b": ("n2", 2, 5)}


def test_online_a_planned_task_waits_for_its_better_node() -> None:
    busy = a_pipeline(a_task("a", {"n1": 3}), name="q")
    task = a_pipeline(a_task("b", {"n1": 1, "n2": 20}))
    assert times(planned(a_scenario([N1, N2], busy, task))[1])["b"] in {("n1", 0, 1), ("n1", 3, 4)}


def test_online_a_higher_priority_is_planned_first() -> None:
    task = a_task("a", {"n1": 2})
    low, high = a_pipeline(task, name="low"), a_pipeline(task, name="high", priority=5)
    outcome = planned(a_scenario([N1], low, high))[1]
    assert {name.pipeline: done.start for name, done in outcome.assignments.items()} == {"high": 0, "low": 2}


class Failing:
    name = "heft"
    summary = "fails"

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        raise KeyError("oops")


def test_online_a_planner_that_fails_is_told() -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 2})))
    team = Team(
        policy=plugins.policy("fifo"),
        strategy="heft",
        strategies=plugins.strategies(),
        believed=scenario.believed,
        predict=Believing(scenario.believed),
    )
    with pytest.raises(DecisionFailed, match="planner 'heft' failed: KeyError"):
        run(World(tables_of(scenario.truth)), PlanningDecider(team, Failing()))


def test_an_aged_pipeline_comes_first_whatever_its_priority() -> None:
    task = a_task("a", {"n1": 50})
    low, others = (
        a_pipeline(task, name="low"),
        [a_pipeline(task, name=f"high{i}", priority=5, submitted_at=10.0 * i) for i in range(5)],
    )
    choice = Choice(policy="balanced", strategy="heft", limits=Limits(ageing=timedelta(seconds=60)))
    outcome = simulate(a_scenario([N1], low, *others), choice)[0]
    ranks = sorted((done.start, name.pipeline) for name, done in outcome.assignments.items())
    assert [name for _, name in ranks].index("low") == 2


def test_what_was_planned_for_a_node_that_never_comes_back_goes_to_others() -> None:
    tasks = (
        a_task("a", {"n1": 5, "n2": 50}),
        a_task("b", {"n1": 5, "n2": 20}, after=[("a", 0)]),
        a_task("c", {"n2": 9}),
    )
    scenario = a_scenario([N1, N2], a_pipeline(*tasks), failures=[["n1", 7, None]])
    planned = schedule(at(key("a"), "n1", 0, 5), at(key("b"), "n1", 5, 10), at(key("c"), "n2", 0, 9))
    assert times(follow(scenario, planned)) == {"a": ("n1", 0, 5), "b": ("n2", 9, 29), "c": ("n2", 0, 9)}


def test_a_plan_waits_for_a_node_that_comes_back() -> None:
    scenario = a_scenario([N1, N2], a_pipeline(a_task("a", {"n1": 5, "n2": 6})), failures=[["n1", 2, 30]])
    assert times(follow(scenario, schedule(at(key("a"), "n1", 0, 5)))) == {"a": ("n1", 30, 35)}


def test_what_only_a_lost_node_could_run_is_refused() -> None:
    scenario = a_scenario([N1, N2], a_pipeline(a_task("a", {"n1": 5})), failures=[["n1", 2, None]])
    with pytest.raises(Stalled, match="p/a: no node that can run it comes back"):
        follow(scenario, schedule(at(key("a"), "n1", 0, 5)))


def ticking(step: float) -> Callable[[], float]:
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_the_budget_is_for_all_plans_together() -> None:
    budget = Budget(ticking(1.0), 10.0)
    with budget.spending():
        pass
    assert budget.spent == 1.0
    is_over = budget.share(3)  # 9 seconds are left: 3 each
    assert [is_over() for _ in range(4)] == [False, False, True, True]
    assert not Budget(ticking(1.0)).share(1)()


@pytest.mark.parametrize("offline", [False, True])
def test_planning_seconds_are_those_of_the_decisions(offline: bool) -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 4})))
    choice = Choice(policy="fifo", strategy="greedy", offline=offline)
    assert simulate(scenario, choice, clock=ticking(1.0))[1] >= 1.0
