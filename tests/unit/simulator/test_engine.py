"""The physics of a simulation, on timelines worked out by hand."""

from collections.abc import Sequence

import pytest

from nodewise.simulator.engine import World, run
from nodewise.simulator.errors import Stalled
from nodewise.simulator.scenario import Outcome, Scenario
from nodewise.simulator.tables import tables_of
from tests.support.scenarios import Document, a_node, a_pipeline, a_scenario, a_task

N1, N2 = a_node("n1"), a_node("n2")


class FirstFree:
    """Places what waits, in the order of the file, on the first node with room that may run it."""

    def decide(self, world: World) -> None:
        for task in sorted(world.ready):
            need = world.tables.needs(task)
            free = [node for node in world.tables.allowed[task] if world.room.fits(node, need)]
            if free:
                world.place(task, free[0])


def happened(scenario: Scenario) -> Outcome:
    return run(World(tables_of(scenario.truth), scenario.failures), FirstFree())


def times(
    nodes: Sequence[Document], *pipelines: Document, **fields: object
) -> dict[str, tuple[str, float, float]]:
    outcome = happened(a_scenario(nodes, *pipelines, **fields))
    return {name.task: (done.node, done.start, done.end) for name, done in outcome.assignments.items()}


def test_tasks_share_a_node_one_after_the_other() -> None:
    found = times([N1], a_pipeline(a_task("a", {"n1": 2}), a_task("b", {"n1": 3})))
    assert found == {"a": ("n1", 0, 2), "b": ("n1", 2, 5)}


def test_slots_bound_how_many_run_at_once() -> None:
    tasks = [a_task(name, {"n1": 2}, millicores=0) for name in "abc"]
    assert [at[1] for at in times([a_node(slots=2)], a_pipeline(*tasks)).values()] == [0, 0, 2]


def test_without_slots_only_resources_bound() -> None:
    tasks = [a_task(name, {"n1": 2}, millicores=1500) for name in "abc"]
    assert [at[1] for at in times([a_node(slots=None)], a_pipeline(*tasks)).values()] == [0, 0, 2]


def test_data_travels_between_nodes_and_not_within_one() -> None:
    here = a_pipeline(a_task("a", {"n1": 2}), a_task("b", {"n1": 1}, after=[("a", 300)]))
    there = a_pipeline(a_task("a", {"n1": 2}), a_task("b", {"n2": 1}, after=[("a", 300)]))
    assert times([N1, N2], here)["b"] == ("n1", 2, 3)
    assert times([N1, N2], there)["b"] == ("n2", 5, 6)
    slow = {"pairs": [["n2", "n1", 30]]}
    assert times([N1, N2], there, links=slow)["b"] == ("n2", 12, 13)


def test_data_travels_from_the_end_of_its_task_on() -> None:
    tasks = (
        a_task("a", {"n1": 1}),
        a_task("b", {"n2": 5}),
        a_task("c", {"n2": 1}, after=[("a", 300), ("b", 300)]),
    )
    assert times([N1, N2], a_pipeline(*tasks))["c"] == ("n2", 5, 6)


def test_a_pipeline_is_unknown_before_it_arrives() -> None:
    late = a_pipeline(a_task("late", {"n1": 1}), name="q", submitted_at=7)
    assert times([N1], a_pipeline(a_task("a", {"n1": 2})), late)["late"] == ("n1", 7, 8)


def test_a_node_without_a_run_time_runs_nothing_of_it() -> None:
    tasks = [a_task(name, {"n2": 2}) for name in "ab"]
    assert [at[:2] for at in times([N1, N2], a_pipeline(*tasks)).values()] == [("n2", 0), ("n2", 2)]


def test_what_runs_on_a_node_that_fails_starts_again() -> None:
    pipeline = a_pipeline(a_task("a", {"n1": 4, "n2": 10}))
    assert times([N1, N2], pipeline, failures=[["n1", 3, None]])["a"] == ("n2", 3, 13)
    assert times([N1], a_pipeline(a_task("a", {"n1": 4})), failures=[["n1", 3, 5]])["a"] == ("n1", 5, 9)


def test_an_end_at_the_moment_of_the_failure_counts() -> None:
    assert times([N1], a_pipeline(a_task("a", {"n1": 3})), failures=[["n1", 3, None]])["a"] == ("n1", 0, 3)


def test_what_a_node_made_before_it_failed_can_be_read() -> None:
    pipeline = a_pipeline(a_task("a", {"n1": 2}), a_task("b", {"n2": 1}, after=[("a", 300)]))
    assert times([N1, N2], pipeline, failures=[["n1", 3, None]])["b"] == ("n2", 5, 6)


def test_failures_that_overlap_end_with_the_last() -> None:
    pipeline = a_pipeline(a_task("a", {"n1": 4}))
    assert times([N1], pipeline, failures=[["n1", 1, 5], ["n1", 3, 8]])["a"] == ("n1", 8, 12)


def test_a_wait_counts_from_the_time_it_was_lost() -> None:
    outcome = happened(a_scenario([N1], a_pipeline(a_task("a", {"n1": 4})), failures=[["n1", 3, 5]]))
    assert list(outcome.ready_at.values()) == [3]


def test_a_task_of_no_length_ends_at_once() -> None:
    found = times([N1], a_pipeline(a_task("a", {"n1": 0}), a_task("b", {"n1": 1}, after=[("a", 0)])))
    assert found == {"a": ("n1", 0, 0), "b": ("n1", 0, 1)}


def test_a_task_whose_nodes_are_gone_for_good_is_told() -> None:
    with pytest.raises(Stalled, match="1 tasks never start, the first is p/a"):
        times([N1, N2], a_pipeline(a_task("a", {"n1": 4})), failures=[["n1", 0, None]])
