"""Which runs are planned together, and in which order the others come."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.ids import TaskPath, TaskRef
from nodewise.core.model.situation import OpenRun
from nodewise.planning.stages import plan_stages
from tests.support.builders import NOON, run_id, seconds

HOUR = timedelta(hours=1)


def a_run(
    number: int,
    *,
    ago: float = 0,
    policy: str = "balanced",
    strategy: str = "portfolio",
    priority: int = 0,
) -> OpenRun:
    """A run that was submitted `ago` seconds before noon."""
    return OpenRun(
        id=run_id(number),
        submitted_at=NOON - seconds(ago),
        policy=policy,
        strategy=strategy,
        priority=priority,
        tasks=(),
    )


def stages(runs: Sequence[OpenRun], orders: Mapping[str, Sequence[int]] | None = None) -> list[list[int]]:
    """The runs' numbers, stage by stage; an order names a run for each task that waits."""
    refs = {
        policy: [TaskRef(run_id=run_id(number), path=TaskPath(f"t{k}")) for k, number in enumerate(order)]
        for policy, order in (orders or {}).items()
    }
    numbers = {run.id: number for number in range(99) for run in runs if run.id == run_id(number)}
    found = plan_stages(runs, refs, now=NOON, ageing=HOUR)
    return [[numbers[run] for run in stage.runs] for stage in found]


def test_balanced_plans_one_priority_together_and_higher_ones_before() -> None:
    runs = [a_run(1, ago=9), a_run(2, ago=8, priority=5), a_run(3, ago=7), a_run(4, ago=6, priority=5)]
    assert stages(runs) == [[2, 4], [1, 3]]


def test_balanced_never_lets_the_young_pass_the_aged_whatever_their_priority() -> None:
    runs = [a_run(1, ago=7200), a_run(2, ago=60, priority=9), a_run(3, ago=4000), a_run(4, ago=3600)]
    assert stages(runs) == [[1, 3], [2], [4]]


def test_planners_do_not_share_a_stage() -> None:
    runs = [a_run(1, ago=9, strategy="heft"), a_run(2, ago=8), a_run(3, ago=7, strategy="heft")]
    assert stages(runs) == [[1, 3], [2]]
    assert [s.planner for s in plan_stages(runs, {}, now=NOON, ageing=HOUR)] == ["heft", "portfolio"]


def test_another_policy_orders_the_runs_by_their_first_waiting_task() -> None:
    runs = [a_run(number, ago=10 - number, policy="shortest") for number in (1, 2, 3, 4)]
    assert stages(runs, {"shortest": [3, 1, 3, 2, 1]}) == [[4], [3], [1], [2]]


def test_another_policy_puts_the_aged_first_oldest_first() -> None:
    runs = [a_run(1, ago=4000, policy="random"), a_run(2, ago=9000, policy="random")]
    assert stages([*runs, a_run(3, policy="random")], {"random": [3, 1, 2]}) == [[2], [1], [3]]


def test_runs_of_a_policy_without_an_order_are_left_out() -> None:
    assert stages([a_run(1, policy="gone"), a_run(2, policy="fifo")], {"fifo": [2]}) == [[2]]


def test_policies_take_turns_by_the_oldest_run_of_their_next_stage() -> None:
    runs = [
        a_run(1, ago=50, policy="fifo"),
        a_run(2, ago=40),
        a_run(3, ago=30, policy="fifo"),
        a_run(4, ago=20),
    ]
    assert stages(runs, {"fifo": [1, 3]}) == [[1], [2, 4], [3]]


@pytest.mark.parametrize("policy", ["balanced", "fifo"])
@given(data=st.data())
def test_every_run_is_in_one_stage_however_they_come(policy: str, data: st.DataObject) -> None:
    runs = data.draw(
        st.lists(
            st.builds(
                a_run,
                st.integers(1, 40),
                ago=st.sampled_from((0, 1, 1, 5, 5000, 9000)),
                policy=st.just(policy),
                strategy=st.sampled_from(("heft", "portfolio")),
                priority=st.integers(-1, 1),
            ),
            unique_by=lambda run: run.id,
        )
    )
    order = data.draw(st.permutations([run.id for run in runs]))
    refs = {"fifo": [TaskRef(run_id=run, path=TaskPath("t")) for run in order]}
    found = plan_stages(runs, refs, now=NOON, ageing=HOUR)
    assert sorted(run for stage in found for run in stage.runs) == sorted(run.id for run in runs)
    assert plan_stages(runs[::-1], refs, now=NOON, ageing=HOUR) == found
