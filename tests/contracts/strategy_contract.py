"""What every strategy promises. A third party subclasses `StrategyContract` in its own tests and says what to make."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion_of
from nodewise.core.model.decision import Decision, Deferral, Placement
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import (
    DatasetFacts,
    ModelFacts,
    Preferences,
    Requirements,
    TaskInput,
    TaskKind,
    WaitingTask,
)
from nodewise.core.ports import PlacementContext, Strategy
from tests.contracts.inherited import inherited
from tests.support.builders import NOON, a_cluster, a_node, a_task

NAMES = ("n1", "n2", "n3", "n4")
ADMITTED_TO = (
    None,
    None,
    (NodeName("n3"),),
    (NodeName("gone"),),
    (NodeName("n1"), NodeName("n2"), NodeName("n4")),
)
WORKER_TYPES = ("low-cpu", "med-cpu", "high-cpu")


@dataclass(frozen=True)
class Problem:
    """Tasks and a cluster to place them on."""

    tasks: list[WaitingTask]
    cluster: Cluster
    previous: NodeName | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@st.composite
def _nodes(draw: st.DrawFn, name: str) -> NodeView:
    cores = draw(st.sampled_from([0.5, 1, 2, 4]))
    return a_node(
        name,
        cores=cores,
        memory=draw(st.sampled_from([100, 1000])),
        gpus=draw(st.integers(0, 1)),
        booked=draw(st.sampled_from([0, 0, cores / 2, cores])),
        available=draw(st.none() | st.sampled_from([0.0, 150.0, 900.0])),
        load=draw(st.none() | st.sampled_from([0.0, 1.0])),
        age=draw(st.sampled_from([0, 61])),
        architecture=draw(st.sampled_from(["amd64", "arm64"])),
        worker_type=draw(st.sampled_from(WORKER_TYPES)),
        accelerator=draw(st.none() | st.just("gpu")),
        labels=draw(st.sampled_from([{}, {"zone": "a"}])),
    )


@st.composite
def _requirements(draw: st.DrawFn) -> Requirements:
    return Requirements(
        nodes=tuple(draw(st.sampled_from([(), (), (NodeName("n1"), NodeName("n3"))]))),
        architectures=draw(st.sampled_from([(), (), ("arm64",)])),
        worker_types=draw(st.sampled_from([(), (), ("high-cpu", "low-cpu")])),
        accelerator=draw(st.sampled_from([None, None, "gpu"])),
        labels=draw(st.sampled_from([{}, {}, {"zone": "a"}])),
    )


@st.composite
def _tasks(draw: st.DrawFn, index: int) -> WaitingTask:
    return a_task(
        f"t{index}",
        run=draw(st.integers(1, 3)),
        cores=draw(st.sampled_from([0.1, 0.5, 1, 3])),
        memory=draw(st.sampled_from([10, 200])),
        gpus=draw(st.sampled_from([0, 0, 1])),
        kind=draw(st.sampled_from(TaskKind)),
        model=draw(st.none() | st.sampled_from([ModelFacts(type="svm"), ModelFacts(type="cnn")])),
        dataset=draw(st.none() | st.just(DatasetFacts(samples=10_000, features=500))),
        requirements=draw(_requirements()),
        preferences=draw(
            st.sampled_from([Preferences(), Preferences(nodes=(NodeName("n2"),), labels={"zone": "a"})])
        ),
        sibling_nodes=draw(st.sampled_from([(), (NodeName("n2"), NodeName("gone"))])),
        allowed_nodes=draw(st.sampled_from(ADMITTED_TO)),
        inputs=draw(st.sampled_from([(), (TaskInput(node=NodeName("n2"), mib=50.0),)])),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small clusters of unlike nodes, up to twelve tasks with and without requirements, metrics known and not."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
    count = draw(st.integers(0, 12))
    return Problem(
        tasks=[draw(_tasks(index)) for index in range(count)],
        cluster=a_cluster(*(draw(_nodes(name)) for name in sorted(names))),
        previous=draw(st.none() | st.sampled_from([NodeName("n2"), NodeName("zz")])),
    )


def checked(problem: Problem, decisions: Sequence[Decision]) -> None:
    """Book what was decided, one after the other, and check every step independently of the strategy."""
    cluster = problem.cluster
    for task, decision in zip(problem.tasks, decisions, strict=True):
        assert decision.ref == task.ref
        assert decision.reason.text, "every decision has a sentence"
        if isinstance(decision, Deferral):
            continue
        assert isinstance(decision, Placement)
        view = next((view for view in cluster.nodes if view.name == decision.node), None)
        assert view is not None, f"{decision.node} is not in the cluster"
        assert exclusion_of(task, view, cluster) is None, f"{task.ref} on {decision.node}"
        cluster = cluster.with_booking(decision.node, effective_resources(task.spec))
    for before, after in zip(problem.cluster.nodes, cluster.nodes, strict=True):
        assert after.booked == before.booked or after.booked.fits_in(after.node.capacity)


class StrategyContract(ABC):
    """Inherit, implement `make`, and let pytest collect."""

    waits_although_it_could_place = False
    """Whether the strategy may defer a task that some node could take (it waits for a better one)."""

    @abstractmethod
    def make(self) -> Strategy:
        """A new strategy."""

    def place(self, problem: Problem, seed: int = 7) -> list[Decision]:
        context = PlacementContext(
            now=NOON, rng=Random(seed), previous_node=problem.previous, options=problem.options
        )
        return list(self.make().place(problem.tasks, problem.cluster, context))

    def test_it_says_what_it_is(self) -> None:
        strategy = self.make()
        assert isinstance(strategy, Strategy)
        assert strategy.name == strategy.name.strip().lower() != ""
        assert strategy.summary
        assert "\n" not in strategy.summary

    def test_no_tasks_give_no_decisions(self) -> None:
        assert self.place(Problem(tasks=[], cluster=a_cluster(a_node()))) == []

    def test_without_nodes_every_task_is_deferred_with_a_reason(self) -> None:
        decisions = self.place(Problem(tasks=[a_task("a"), a_task("b")], cluster=a_cluster()))
        assert [type(decision) for decision in decisions] == [Deferral, Deferral]
        assert all(decision.reason.text for decision in decisions)

    @inherited
    @given(problems())
    def test_each_task_gets_one_decision_in_order_within_capacity_and_requirements(
        self, problem: Problem
    ) -> None:
        checked(problem, self.place(problem))

    @inherited
    @given(problems(), st.integers(0, 3))
    def test_equal_inputs_give_equal_decisions(self, problem: Problem, seed: int) -> None:
        assert self.place(problem, seed) == self.place(problem, seed)

    @inherited
    @given(problems())
    def test_what_a_node_could_take_is_not_deferred(self, problem: Problem) -> None:
        if self.waits_although_it_could_place:
            return
        cluster = problem.cluster
        for task, decision in zip(problem.tasks, self.place(problem), strict=True):
            if isinstance(decision, Placement):
                cluster = cluster.with_booking(decision.node, effective_resources(task.spec))
                continue
            able = [view.name for view in cluster.nodes if exclusion_of(task, view, cluster) is None]
            assert not able

    @inherited
    @given(problems())
    def test_the_cluster_and_the_tasks_are_left_as_they_are(self, problem: Problem) -> None:
        tasks, nodes = list(problem.tasks), tuple(problem.cluster.nodes)
        self.place(problem)
        assert problem.tasks == tasks
        assert problem.cluster.nodes == nodes
