"""What happens often costs little: figures of processor time, many times what is needed and far below what squares took."""

import math
import time

import pytest

from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.heft import heft
from nodewise.planning.instance import Instance, index
from nodewise.planning.moves import chain
from nodewise.simulator.engine import World
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Failure
from nodewise.simulator.tables import tables_of
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task, random_problem


def chain_by_definition(instance: Instance, solution: Solution, task: int) -> list[int]:
    plan, found = solution.plan, [task]
    while True:
        before = [p for p, _ in instance.parents[task] if p not in instance.fixed]
        start, node = plan.start[task], plan.node[task]
        on_node = [o for o in solution.order if plan.node[o] == node]
        before += [o for o in on_node if plan.end[o] <= start and plan.start[o] < start]
        task = max(before, key=lambda o: (plan.end[o], o), default=-1)
        if task < 0:
            return found
        found.append(task)


@pytest.mark.parametrize("seed", range(8))
def test_the_way_back_from_a_task_is_that_of_the_definition(seed: int) -> None:
    raw = random_problem(seed, pipelines=12, nodes=3)
    for pipeline in raw["pipelines"]:
        for task in pipeline["tasks"][::3]:
            task["seconds"] = dict.fromkeys(task["seconds"], 0)
            task["estimate"] = None
    instance = index(parse_scenario(raw).truth)
    solution = Decoder(instance).solution(heft(instance))
    for task in instance.free:
        assert chain(instance, solution, task) == chain_by_definition(instance, solution, task)


def test_the_way_back_through_a_long_chain_is_found_quickly() -> None:
    count = 3000
    tasks = [a_task(f"t{i}", {"n1": 0.1}, after=[(f"t{i - 1}", 0)] if i else []) for i in range(count)]
    instance = index(a_scenario([a_node()], a_pipeline(*tasks)).truth)
    solution = Decoder(instance).solution(heft(instance))
    start = time.process_time()
    assert len(chain(instance, solution, solution.order[-1])) == count
    assert time.process_time() - start < 0.3


def test_many_failures_to_come_make_no_look_slower() -> None:
    scenario = a_scenario([a_node()], a_pipeline(a_task("a", {"n1": 1})))
    failures = [Failure(node=scenario.truth.nodes[0].name, start=k, until=k + 0.5) for k in range(20_000)]
    world = World(tables_of(scenario.truth), failures)
    world.wake_at(0.25)
    start = time.process_time()
    for _ in range(20_000):
        assert world.next_event == 0.0
    assert time.process_time() - start < 1.0


def test_a_wake_up_comes_after_what_happens_then_and_is_no_event() -> None:
    scenario = a_scenario([a_node()], a_pipeline(a_task("a", {"n1": 1}), submitted_at=2.0))
    world = World(tables_of(scenario.truth))
    for time_ in (1.0, 1.0, 2.0, 0.0):
        world.wake_at(time_)
    assert world.next_event == 2.0
    assert [(world.step(), world.now, list(world.ready)) for _ in range(2)] == [
        (True, 1.0, []),
        (True, 2.0, [0]),
    ]
    assert world.next_event == math.inf
