"""Quotas of teams: who is held, until when, and that nobody else is held up by it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.quota import DEFAULT_QUOTA, Quota, quota_of
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import WaitingTask
from nodewise.core.plugins import planners, policies
from nodewise.scheduler.cycle import AdmittedTask, Plan, Planning, Queued, Snapshot, plan
from tests.support.builders import a_cluster, a_node, a_task, paths, policy_context
from tests.support.forecasts import exactly
from tests.support.open_runs import an_open_run, an_open_task, waiting

BIG = a_cluster(*(a_node(f"n{number}", cores=8, gpus=4) for number in range(1, 5)))


def decide(
    tasks: Sequence[WaitingTask],
    quotas: Mapping[str, Quota],
    *,
    booked: Mapping[str, Resources] | None = None,
    admitted: Sequence[WaitingTask] = (),
) -> Plan:
    snapshot = Snapshot(
        queue=tuple(Queued(task=task) for task in tasks),
        cluster=BIG,
        admitted=tuple(AdmittedTask(ref=task.ref, spec=task.spec, team=task.team) for task in admitted),
    )
    context = replace(
        policy_context(),
        cluster=BIG,
        predict=exactly(lambda _task, _node: 0.0),
        quotas=quotas,
        booked=booked or {},
    )
    return plan(snapshot, policies(), context, max_admitted=1000)


def of(team: str, *names: str, **needs: float) -> list[WaitingTask]:
    return [
        replace(a_task(name, submitted=index, **needs), team=team)  # type: ignore[arg-type]
        for index, name in enumerate(names)
    ]


def admitted_in(decided: Plan) -> list[str]:
    return paths([admission.ref for admission in decided.admitted])


def test_a_team_gets_as_much_as_its_quota_and_the_rest_waits_for_that_reason() -> None:
    tasks = of("vision", "a", "b", "c", cores=1)
    decided = decide(tasks, {"vision": Quota(cores=2)})
    assert admitted_in(decided) == ["a", "b"]
    reason = decided.reasons[tasks[2].ref]
    assert reason.code is ReasonCode.TEAM_QUOTA
    assert reason.text == "team 'vision' holds 2 of the 2 cores of its quota; this one needs 1"


def test_what_runs_and_what_is_on_its_way_counts() -> None:
    quotas = {"vision": Quota(cores=3)}
    booked = {"vision": Resources(millicores=1000, memory_mib=1)}
    on_its_way = of("vision", "earlier", cores=1)
    decided = decide(of("vision", "a", "b", cores=1), quotas, booked=booked, admitted=on_its_way)
    assert admitted_in(decided) == ["a"]


def test_gpus_are_bounded_apart_and_who_needs_none_is_not_held() -> None:
    quotas = {"vision": Quota(gpus=1)}
    tasks = [*of("vision", "g1", "g2", cores=1, gpus=1), *of("vision", "plain", cores=1)]
    assert sorted(admitted_in(decide(tasks, quotas))) == ["g1", "plain"]


def test_another_team_is_not_held_up() -> None:
    tasks = [*of("vision", "a", "b", cores=1), *of("speech", "c", "d", cores=1)]
    assert sorted(admitted_in(decide(tasks, {"vision": Quota(cores=0)}))) == ["c", "d"]


def test_a_smaller_task_of_the_team_may_pass() -> None:
    tasks = [*of("vision", "large", cores=2), *of("vision", "small", cores=1)]
    assert admitted_in(decide(tasks, {"vision": Quota(cores=1)})) == ["small"]


def test_what_will_never_fit_says_so() -> None:
    (task,) = of("vision", "a", cores=4)
    decided = decide([task], {DEFAULT_QUOTA: Quota(cores=2)})
    assert decided.reasons[task.ref].text.endswith("this one needs 4, more than all of it")


def test_a_team_that_is_not_named_has_the_quota_of_all() -> None:
    quotas = {DEFAULT_QUOTA: Quota(cores=1), "vision": Quota()}
    assert quota_of("speech", quotas) == Quota(cores=1)
    assert quota_of("vision", quotas) == Quota()
    assert quota_of("vision", {}) == Quota()


def test_a_negative_quota_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 gpus is below 0"):
        Quota(gpus=-1)


def test_nothing_is_planned_for_a_task_that_is_held_nor_for_what_follows_it() -> None:
    """Else room would be kept for it, and other teams would wait for a task that does not start."""
    held = replace(
        an_open_run(an_open_task("first", cores=2), an_open_task("then", "first", cores=1), strategy="heft"),
        team="vision",
    )
    free = replace(an_open_run(an_open_task("other", run=2, cores=1), strategy="heft"), team="speech")
    tasks = [replace(task, team=run.team) for run in (held, free) for task in waiting(run)]
    snapshot = Snapshot(
        queue=tuple(Queued(task=task) for task in tasks),
        cluster=a_cluster(a_node("n1", cores=2)),
        runs=(held, free),
    )
    context = replace(
        policy_context(),
        cluster=snapshot.cluster,
        predict=exactly(lambda _task, _node: 10.0),
        quotas={"vision": Quota(cores=1)},
    )
    planning = Planning(planners={"heft": planners()["heft"]})
    decided = plan(snapshot, policies(), context, max_admitted=10, planning=planning)
    assert admitted_in(decided) == ["other"]
    assert paths(decided.expected) == ["other"]
    assert {reason.code for reason in decided.reasons.values()} == {ReasonCode.TEAM_QUOTA}


NEEDS = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 4), st.integers(0, 2))


@given(
    tasks=st.lists(NEEDS, max_size=25),
    quotas=st.dictionaries(
        st.sampled_from(["a", "b", DEFAULT_QUOTA]),
        st.builds(Quota, cores=st.none() | st.integers(0, 8), gpus=st.none() | st.integers(0, 3)),
    ),
    booked=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.builds(Resources, millicores=st.integers(0, 9000), memory_mib=st.just(0), gpus=st.integers(0, 3)),
    ),
)
def test_no_look_lets_a_team_beyond_its_quota(
    tasks: list[tuple[str, int, int]], quotas: dict[str, Quota], booked: dict[str, Resources]
) -> None:
    queue = [
        replace(a_task(f"t{index}", submitted=index, cores=cores, gpus=gpus), team=team)
        for index, (team, cores, gpus) in enumerate(tasks)
    ]
    decided = decide(queue, quotas, booked=booked)
    by_ref = {task.ref: task for task in queue}
    for team in ("a", "b", "c"):
        before = booked.get(team, Resources())
        taken = [
            effective_resources(by_ref[one.ref].spec)
            for one in decided.admitted
            if by_ref[one.ref].team == team
        ]
        quota = quota_of(team, quotas)
        if quota.cores is not None and taken:
            assert before.millicores + sum(need.millicores for need in taken) <= quota.cores * 1000
        if quota.gpus is not None and any(need.gpus for need in taken):
            assert before.gpus + sum(need.gpus for need in taken) <= quota.gpus
    for ref, reason in decided.reasons.items():
        if reason.code is ReasonCode.TEAM_QUOTA:
            assert ref not in {one.ref for one in decided.admitted}
