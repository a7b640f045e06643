"""What every policy promises. A third party subclasses `PolicyContract` in its own tests and says what to make."""

from abc import ABC, abstractmethod
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.resources import Resources
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Policy, PolicyContext
from tests.contracts.inherited import inherited
from tests.support.builders import NOON, a_cluster, a_node, a_task, seconds


def _task(run: int, path: str, facts: tuple[int, int, int, float | None, int | None, float]) -> WaitingTask:
    submitted, ready, priority, effort, deadline, cores = facts
    return a_task(
        path,
        run=run,
        submitted=submitted,
        ready=submitted + ready,
        priority=priority,
        effort_flops=effort,
        deadline=None if deadline is None else NOON + seconds(deadline),
        team=f"team{run % 2}",
        cores=cores,
    )


@st.composite
def queues(draw: st.DrawFn) -> list[WaitingTask]:
    """Queues of different tasks of a few runs; many ties."""
    names = draw(
        st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abcdefgh")), max_size=20, unique=True)
    )
    facts = st.tuples(
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(-1, 1),
        st.none() | st.sampled_from([0.0, 1e3, 1e12]),
        st.none() | st.integers(-5, 900),
        st.sampled_from([0.5, 1.0, 99.0]),
    )
    return [_task(run, path, draw(facts)) for run, path in names]


class PolicyContract(ABC):
    """Inherit, implement `make`, and let pytest collect."""

    @abstractmethod
    def make(self) -> Policy:
        """A new policy."""

    def order(self, tasks: list[WaitingTask], seed: int = 7, *, informed: bool = False) -> list[object]:
        """`informed`: with a cluster, and with what the teams hold and are due."""
        context = PolicyContext(now=NOON, rng=Random(seed))
        if informed:
            cluster = a_cluster(a_node("n1", cores=4), a_node("n2", node_class="gpu", gpus=1))
            booked = {"team1": Resources(millicores=1000), "absent": Resources(memory_mib=9)}
            context = replace(context, cluster=cluster, booked=booked, shares={"team1": 2.0})
        return list(self.make().order(tasks, context))

    def test_it_says_what_it_is(self) -> None:
        policy = self.make()
        assert isinstance(policy, Policy)
        assert policy.name == policy.name.strip().lower() != ""
        assert policy.summary
        assert "\n" not in policy.summary

    def test_nobody_waiting_gives_an_empty_order(self) -> None:
        assert self.order([]) == []

    @inherited
    @given(queues(), st.booleans())
    def test_everybody_stands_in_the_order_once(self, tasks: list[WaitingTask], informed: bool) -> None:
        order = self.order(tasks, informed=informed)
        assert len(order) == len(tasks)
        assert set(order) == {task.ref for task in tasks}

    @inherited
    @given(queues(), st.integers(0, 3), st.booleans())
    def test_equal_inputs_give_equal_orders(
        self, tasks: list[WaitingTask], seed: int, informed: bool
    ) -> None:
        assert self.order(tasks, seed, informed=informed) == self.order(tasks, seed, informed=informed)

    @inherited
    @given(st.data())
    def test_the_order_of_the_input_does_not_matter(self, data: st.DataObject) -> None:
        tasks, informed = data.draw(queues()), data.draw(st.booleans())
        shuffled = data.draw(st.permutations(tasks))
        assert self.order(tasks, informed=informed) == self.order(shuffled, informed=informed)

    @inherited
    @given(queues())
    def test_the_input_is_left_as_it_is(self, tasks: list[WaitingTask]) -> None:
        before = list(tasks)
        self.order(tasks)
        assert tasks == before
