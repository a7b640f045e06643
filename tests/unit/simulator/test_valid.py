"""Whatever is simulated, the independent check finds nothing wrong with it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core import plugins
from nodewise.core.model.problem import Schedule
from nodewise.core.model.validation import violations
from nodewise.planning import PLANNERS
from nodewise.simulator.metrics import figures
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Scenario
from nodewise.simulator.simulation import Choice, simulate
from tests.support.examples import examples
from tests.support.scenarios import Document, a_node, a_pipeline, a_problem, a_task, random_problem

FAST_PLANNERS = sorted(PLANNERS.keys() - {"portfolio", "exact"})
SECONDS = st.sampled_from([0, 0.5, 1, 3, 10])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    count = draw(st.integers(1, 3))
    names = [f"n{i}" for i in range(count)]
    nodes = [a_node(name, slots=draw(st.sampled_from([1, 2, None]))) for name in names]
    made = []
    for i in range(draw(st.integers(1, 4))):
        tasks = []
        for number in range(draw(st.integers(1, 4))):
            able = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
            parents = draw(st.sets(st.integers(0, number - 1))) if number else set()
            tasks.append(
                a_task(
                    f"t{number}",
                    {name: draw(SECONDS) for name in able},
                    after=[
                        (f"t{parent}", draw(st.sampled_from([0, 100, 500]))) for parent in sorted(parents)
                    ],
                    millicores=draw(st.sampled_from([0, 1500, 4000])),
                    estimate=draw(st.none() | SECONDS),
                )
            )
        made.append(a_pipeline(*tasks, name=f"p{i}", submitted_at=draw(st.sampled_from([0, 0, 2, 7]))))
    failures = [
        [draw(st.sampled_from(names)), start, start + draw(st.sampled_from([1, 20]))]
        for start in draw(st.lists(st.sampled_from([0, 1, 2, 5]), max_size=2))
    ]
    return a_problem(nodes, *made, failures=failures)


def check(scenario: Scenario, choice: Choice) -> None:
    outcome, _ = simulate(scenario, choice)
    assert violations(scenario.truth, Schedule(assignments=outcome.assignments)) == ()


@settings(max_examples=examples(150), deadline=None)
@given(
    documents(),
    st.sampled_from(sorted(plugins.policies())),
    st.sampled_from([*sorted(plugins.strategies()), *FAST_PLANNERS]),
    st.booleans(),
)
def test_every_simulation_is_a_valid_schedule(
    raw: Document, policy: str, strategy: str, offline: bool
) -> None:
    check(parse_scenario(raw), Choice(policy=policy, strategy=strategy, offline=offline))


@pytest.mark.parametrize("strategy", ["greedy", "heft"])
def test_a_busy_cluster_is_valid_too(strategy: str) -> None:
    scenario = parse_scenario(random_problem(11, pipelines=60, nodes=6, spread=60.0))
    check(scenario, Choice(policy="shortest", strategy=strategy))


def test_perfect_knowledge_sees_no_estimates() -> None:
    scenario = parse_scenario(random_problem(11, pipelines=10, nodes=3))
    knowing = replace(scenario, believed=scenario.truth)
    assert simulate(scenario, Choice(policy="shortest", strategy="greedy")) != simulate(
        knowing, Choice(policy="shortest", strategy="greedy")
    )


def test_a_long_stream_is_simulated_to_the_end() -> None:
    scenario = parse_scenario(random_problem(1, pipelines=examples(700), nodes=10, spread=1900.0))
    outcome, _ = simulate(scenario, Choice(policy="fifo", strategy="greedy"))
    assert len(outcome.assignments) == sum(len(pipeline.tasks) for pipeline in scenario.truth.pipelines)


def test_estimates_that_are_off_by_half_do_not_ruin_a_plan() -> None:
    scenario = parse_scenario(random_problem(4, pipelines=15, nodes=6, spread=10.0))
    choice = Choice(policy="balanced", strategy="portfolio")
    guessing, knowing = (
        figures(scenario.truth, simulate(replace(scenario, believed=believed), choice)[0])
        for believed in (scenario.believed, scenario.truth)
    )
    assert guessing.mean_flow < 1.5 * knowing.mean_flow
