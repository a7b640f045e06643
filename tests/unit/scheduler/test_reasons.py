"""Every state in which a task can wait has its typed reason: which snapshot produces it, and who says it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from nodewise.core.model.decision import PERMANENT_EXCLUSIONS, Reason, ReasonCode
from nodewise.core.model.node import Cluster
from nodewise.core.model.quota import Quota
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import WaitingTask
from nodewise.core.plugins import planners, policies
from nodewise.scheduler.cycle import Planning, Queued, Snapshot, plan
from tests.support.builders import NOON, a_cluster, a_node, a_task, policy_context, seconds
from tests.support.forecasts import exactly
from tests.support.open_runs import an_open_run, an_open_task, lives, waiting

FULL = a_cluster(replace(a_node("n1", booked=2), running_tasks=1))
HALF = a_cluster(replace(a_node("n1", booked=1), running_tasks=1))


def cycle(
    queue: Sequence[Queued],
    cluster: Cluster,
    *,
    runs: Sequence[OpenRun] = (),
    running: Sequence[Occupancy] = (),
    max_admitted: int = 100,
) -> set[ReasonCode]:
    """The codes of all who wait after a look; every task takes 10 s."""
    snapshot = Snapshot(queue=tuple(queue), cluster=cluster, runs=tuple(runs), running=tuple(running))
    context = replace(policy_context(), cluster=cluster, predict=exactly(lambda _task, _node: 10.0))
    planning = Planning(planners={"heft": planners()["heft"]})
    decided = plan(snapshot, policies(), context, max_admitted=max_admitted, planning=planning)
    assert decided.waiting.keys() == {reason.code for reason in decided.reasons.values()}
    assert all(reason.text for reason in decided.reasons.values())
    return set(decided.waiting)


def one(task: WaitingTask, cluster: Cluster = FULL, *, max_admitted: int = 100) -> set[ReasonCode]:
    return cycle([Queued(task=task)], cluster, max_admitted=max_admitted)


def resting() -> set[ReasonCode]:
    return cycle([Queued(task=a_task(), not_before=NOON + seconds(9))], a_cluster(a_node()))


def told_by_the_placer(code: ReasonCode) -> set[ReasonCode]:
    """What the placer said stays while the task rests."""
    reason = Reason(code=code, text="as the placer said")
    queue = [Queued(task=a_task(), not_before=NOON + seconds(9), reason=reason)]
    snapshot = Snapshot(queue=tuple(queue), cluster=a_cluster(a_node()))
    return set(plan(snapshot, policies(), policy_context(), max_admitted=9).waiting)


def planned(cluster: Cluster, *running: Occupancy, strategy: str = "heft", tasks: int = 1) -> set[ReasonCode]:
    run = an_open_run(*(an_open_task(f"t{i}") for i in range(tasks)), strategy=strategy)
    return cycle([Queued(task=task) for task in waiting(run)], cluster, runs=[run], running=running)


def kept_free() -> set[ReasonCode]:
    queue = [Queued(task=a_task("large", cores=2)), Queued(task=a_task("later", submitted=1))]
    return cycle(queue, HALF, running=[lives("r", "n1", ends=5)])


def over_quota() -> set[ReasonCode]:
    snapshot = Snapshot(queue=(Queued(task=a_task(cores=1)),), cluster=a_cluster(a_node()))
    context = replace(policy_context(), quotas={"*": Quota(cores=0.5)})
    return set(plan(snapshot, policies(), context, max_admitted=9).waiting)


WAITING: dict[ReasonCode, Callable[[], set[ReasonCode]]] = {
    ReasonCode.QUEUED: lambda: one(a_task(), a_cluster(a_node()), max_admitted=0),
    ReasonCode.NO_NODES: lambda: one(a_task(), a_cluster()),
    ReasonCode.NO_ROOM: lambda: one(a_task()),
    ReasonCode.UNSATISFIABLE: lambda: one(a_task(cores=64)),
    ReasonCode.RETRY_BACKOFF: resting,
    ReasonCode.WAITS_FOR_NODE: lambda: planned(FULL, lives("r", "n1", cores=2)),
    ReasonCode.PLANNED_LATER: lambda: planned(a_cluster(a_node(cores=1)), tasks=2),
    ReasonCode.KEPT_FREE: kept_free,
    ReasonCode.TEAM_QUOTA: over_quota,
    ReasonCode.UNKNOWN_POLICY: lambda: one(a_task(policy="gone")),
    ReasonCode.UNKNOWN_STRATEGY: lambda: planned(FULL, strategy="gone"),
    ReasonCode.STRATEGY_RULE: lambda: told_by_the_placer(ReasonCode.STRATEGY_RULE),
}
"""Which snapshot makes the scheduler say it (and nothing it must not say)."""

SAID_BY_OTHERS = {
    ReasonCode.UPSTREAM_NOT_FINISHED,  # recorder and api: the task is WAITING, not in the queue
    ReasonCode.LOST_RACE,  # placer: told once, the next look judges anew
    ReasonCode.ADMITTED,  # on its way
}

EXCLUSIONS = PERMANENT_EXCLUSIONS | {
    ReasonCode.CPU_BOOKED,
    ReasonCode.MEMORY_BOOKED,
    ReasonCode.GPU_BOOKED,
    ReasonCode.SLOTS_TAKEN,
    ReasonCode.MEMORY_IN_USE,
    ReasonCode.NOT_PLANNED,
}
"""Of one node and one task; they stand inside the reasons above."""

ENDINGS = {
    ReasonCode.JOB_NOT_BUILT,
    ReasonCode.PLACED,
    ReasonCode.FINISHED,
    ReasonCode.IMPORTED,
    ReasonCode.CACHED,
    ReasonCode.EXIT_CODE,
    ReasonCode.TIMEOUT,
    ReasonCode.OUT_OF_MEMORY,
    ReasonCode.ENVIRONMENT_NOT_BUILT,
    ReasonCode.IMAGE_UNAVAILABLE,
    ReasonCode.AGENT_ERROR,
    ReasonCode.LEASE_ENDED,
    ReasonCode.AGENT_FORGOT,
    ReasonCode.UPSTREAM_FAILED,
    ReasonCode.UPSTREAM_SKIPPED,
    ReasonCode.CONDITION_NOT_MET,
    ReasonCode.INPUT_UNRESOLVED,
    ReasonCode.RUN_TOO_LARGE,
    ReasonCode.RUN_CANCELED,
}


OF_KUBEFLOW = {
    ReasonCode.KFP_LOST_RUN,
    ReasonCode.KFP_REFUSED,
    ReasonCode.KFP_UNAUTHORIZED,
    ReasonCode.KFP_UNAVAILABLE,
    ReasonCode.NOT_NEEDED,
    ReasonCode.PLACEMENT_CONFLICT,
    ReasonCode.POD_FAILED,
    ReasonCode.POD_PENDING,
    ReasonCode.POD_UNSCHEDULABLE,
}
"""Said by the engine kubeflow, in placer and recorder: its tests produce each."""


@pytest.mark.parametrize("code", list(WAITING))
def test_the_reason_is_given(code: ReasonCode) -> None:
    assert code in WAITING[code]()


def test_no_reason_is_left_out() -> None:
    """A new code belongs to those who wait (then with a snapshot that produces it), or to one of the other sets."""
    groups = [set(WAITING), SAID_BY_OTHERS, EXCLUSIONS, ENDINGS, OF_KUBEFLOW]
    assert set().union(*groups) == set(ReasonCode)
    assert sum(len(group) for group in groups) == len(ReasonCode)


def test_nobody_waits_without_a_reason() -> None:
    runs = [an_open_run(an_open_task("t", run=n), submitted=-n) for n in range(1, 5)]
    queue = [Queued(task=task) for run in runs for task in waiting(run)]
    queue += [Queued(task=a_task(f"u{n}", run=9, submitted=n, cores=n / 2)) for n in range(6)]
    cluster = a_cluster(a_node("n1"), a_node("n2", cores=1))
    context = replace(policy_context(), cluster=cluster)
    snapshot = Snapshot(queue=tuple(queue), cluster=cluster, runs=tuple(runs))
    planning = Planning(planners={"heft": planners()["heft"]})
    decided = plan(snapshot, policies(), context, max_admitted=3, planning=planning)
    admitted = {admission.ref for admission in decided.admitted}
    assert admitted | decided.reasons.keys() == {queued.task.ref for queued in queue}
    assert not admitted & decided.reasons.keys()
