"""What every policy promises. A third party subclasses `PolicyContract` in its own tests and says what to make."""

from abc import ABC, abstractmethod
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Policy, PolicyContext
from tests.contracts.inherited import inherited
from tests.support.builders import NOON, a_task


def _task(run: int, path: str, facts: tuple[int, int, int, float | None]) -> WaitingTask:
    submitted, ready, priority, effort = facts
    return a_task(
        path, run=run, submitted=submitted, ready=submitted + ready, priority=priority, effort_flops=effort
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
    )
    return [_task(run, path, draw(facts)) for run, path in names]


class PolicyContract(ABC):
    """Inherit, implement `make`, and let pytest collect."""

    @abstractmethod
    def make(self) -> Policy:
        """A new policy."""

    def order(self, tasks: list[WaitingTask], seed: int = 7) -> list[object]:
        return list(self.make().order(tasks, PolicyContext(now=NOON, rng=Random(seed))))

    def test_it_says_what_it_is(self) -> None:
        policy = self.make()
        assert isinstance(policy, Policy)
        assert policy.name == policy.name.strip().lower() != ""
        assert policy.summary
        assert "\n" not in policy.summary

    def test_nobody_waiting_gives_an_empty_order(self) -> None:
        assert self.order([]) == []

    @inherited
    @given(queues())
    def test_everybody_stands_in_the_order_once(self, tasks: list[WaitingTask]) -> None:
        order = self.order(tasks)
        assert len(order) == len(tasks)
        assert set(order) == {task.ref for task in tasks}

    @inherited
    @given(queues(), st.integers(0, 3))
    def test_equal_inputs_give_equal_orders(self, tasks: list[WaitingTask], seed: int) -> None:
        assert self.order(tasks, seed) == self.order(tasks, seed)

    @inherited
    @given(st.data())
    def test_the_order_of_the_input_does_not_matter(self, data: st.DataObject) -> None:
        tasks = data.draw(queues())
        assert self.order(tasks) == self.order(data.draw(st.permutations(tasks)))

    @inherited
    @given(queues())
    def test_the_input_is_left_as_it_is(self, tasks: list[WaitingTask]) -> None:
        before = list(tasks)
        self.order(tasks)
        assert tasks == before
