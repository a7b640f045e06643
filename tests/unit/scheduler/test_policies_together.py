"""Several policies at once, as docs/explain.md has it: a test for each of its four statements."""

from collections.abc import Sequence
from dataclasses import replace

from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.node import Cluster
from nodewise.core.model.situation import OpenRun
from nodewise.core.model.task import WaitingTask
from nodewise.core.plugins import planners, policies
from nodewise.scheduler.cycle import Plan, Planning, Queued, Snapshot, plan
from tests.support.builders import a_cluster, a_node, a_task, policy_context, run_id, seconds
from tests.support.forecasts import exactly
from tests.support.open_runs import an_open_run, an_open_task, waiting

ROOMY = a_cluster(a_node("n1", cores=64))
ONE = a_cluster(a_node("n1", cores=1))
HOUR = 3600


def look(*tasks: WaitingTask, cluster: Cluster, runs: Sequence[OpenRun] = ()) -> Plan:
    """A look of the scheduler at noon; every task takes 10 s."""
    queue = [Queued(task=task) for task in [*tasks, *(task for run in runs for task in waiting(run))]]
    context = replace(policy_context(), cluster=cluster, predict=exactly(lambda _task, _node: 10.0))
    return plan(
        Snapshot(queue=tuple(queue), cluster=cluster, runs=tuple(runs)),
        policies(),
        context,
        max_admitted=100,
        planning=Planning(planners={"heft": planners()["heft"]}),
    )


def considered(*tasks: WaitingTask) -> list[str]:
    """Who is admitted, first considered first, where there is room for all."""
    return [admission.ref.path for admission in look(*tasks, cluster=ROOMY).admitted]


def of_run(number: int, *, ago: float, path: str = "t", **fields: object) -> OpenRun:
    return an_open_run(an_open_task(path, run=number), submitted=-ago, **fields)  # type: ignore[arg-type]


def test_what_has_waited_an_hour_is_considered_first_whatever_its_policy() -> None:
    aged = a_task("aged", submitted=-HOUR - 5, policy="priority", priority=-9)
    older = a_task("older", submitted=-HOUR - 9, policy="shortest")
    young = a_task("young", submitted=-HOUR + 5, policy="fifo")
    urgent = a_task("urgent", submitted=-60, policy="priority", priority=9)
    assert considered(young, urgent, aged, older) == ["older", "aged", "young", "urgent"]


def test_between_policies_the_time_of_submission_counts_and_no_priority() -> None:
    first = a_task("first", submitted=-30, policy="fifo", priority=0)
    second = a_task("second", submitted=-20, policy="priority", priority=9)
    third = a_task("third", submitted=-10, policy="fifo", priority=99)
    assert considered(third, second, first) == ["first", "second", "third"]


def test_who_stands_behind_a_late_run_in_its_own_policys_order_waits_with_it() -> None:
    urgent = a_task("urgent", submitted=-10, policy="priority", priority=9)
    patient = a_task("patient", submitted=-90, policy="priority")
    other = a_task("other", submitted=-50, policy="fifo")
    assert considered(patient, urgent, other) == ["other", "urgent", "patient"]


def test_planned_runs_are_planned_in_that_order_and_never_delay_those_before() -> None:
    earlier = of_run(1, ago=30, policy="fifo")
    later = of_run(2, ago=20, policy="balanced", priority=9)
    alone = look(cluster=ONE, runs=[earlier]).expected
    together = look(cluster=ONE, runs=[later, earlier]).expected
    starts = {ref.run_id: task.start for ref, task in together.items()}
    assert starts[run_id(2)] == starts[run_id(1)] + seconds(10)
    assert {ref: together[ref] for ref in alone} == alone


def test_all_runs_of_one_priority_under_balanced_take_the_turn_of_the_oldest_of_them() -> None:
    oldest, youngest = of_run(1, ago=30), of_run(3, ago=10)
    between = of_run(2, ago=20, policy="fifo")
    starts = {
        ref.run_id: task.start
        for ref, task in look(cluster=ONE, runs=[oldest, between, youngest]).expected.items()
    }
    assert max(starts, key=starts.__getitem__) == run_id(2)


def test_a_task_outside_of_plans_and_one_that_is_due_go_by_submission() -> None:
    """The plan does not know of the other; the loser waits."""
    planned = of_run(1, ago=20)
    for ago, code in ((30, ReasonCode.WAITS_FOR_NODE), (10, ReasonCode.NO_ROOM)):
        other = a_task("other", run=2, submitted=-ago, policy="fifo", strategy="greedy")
        decided = look(other, cluster=ONE, runs=[planned])
        first, second = (run_id(2), run_id(1)) if ago > 20 else (run_id(1), run_id(2))
        assert [admission.ref.run_id for admission in decided.admitted] == [first]
        assert {ref.run_id: reason.code for ref, reason in decided.reasons.items()} == {second: code}
