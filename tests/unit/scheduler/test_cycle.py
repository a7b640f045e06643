from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import Requirements, WaitingTask
from nodewise.core.ports import Policy, PolicyContext
from nodewise.scheduler.cycle import (
    QUEUED,
    REFRESHED_TEXTS,
    AdmittedTask,
    Plan,
    Queued,
    Snapshot,
    merged,
    plan,
)
from nodewise.scheduler.policies.fifo import Fifo
from nodewise.scheduler.policies.shortest import Shortest
from tests.support.builders import NOON, a_cluster, a_node, a_task, paths, policy_context, seconds
from tests.support.forecasts import exactly


class Fails:
    name = "fails"
    summary = ""

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        raise RuntimeError(f"no idea of {[task.ref for task in waiting]}")


class Forgets:
    name = "forgets"
    summary = ""

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        return [task.ref for task in waiting][1:]


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (Fifo(), Shortest(), Fails(), Forgets())}


def decide(
    tasks: Sequence[WaitingTask | Queued],
    cluster: Cluster,
    *,
    admitted: Sequence[WaitingTask] = (),
    max_admitted: int = 1000,
) -> Plan:
    """One look, in which every task is believed to be over at once, and so delays nobody."""
    queue = tuple(task if isinstance(task, Queued) else Queued(task=task) for task in tasks)
    snapshot = Snapshot(
        queue=queue,
        cluster=cluster,
        admitted=tuple(AdmittedTask(ref=task.ref, spec=task.spec) for task in admitted),
    )
    context = replace(policy_context(), cluster=cluster, predict=exactly(lambda _task, _node: 0.0))
    return plan(snapshot, POLICIES, context, max_admitted=max_admitted)


def refs(decided: Plan) -> list[TaskRef]:
    return [admission.ref for admission in decided.admitted]


def names(decided: Plan) -> list[str]:
    return paths(refs(decided))


def test_admits_in_order_until_the_room_is_full() -> None:
    tasks = [a_task(name, submitted=index, cores=1) for index, name in enumerate("abc")]
    decided = decide(tasks, a_cluster(a_node("n1", cores=2)))
    assert names(decided) == ["a", "b"]
    assert decided.reasons[tasks[2].ref].code is ReasonCode.NO_ROOM
    assert "n1: 0 of 2 cores free, needs 1" in decided.reasons[tasks[2].ref].text


def test_admits_a_small_task_behind_a_large_one_that_does_not_fit() -> None:
    decided = decide(
        [a_task("large", cores=2), a_task("small", submitted=1, cores=0.5)],
        a_cluster(a_node("n1", cores=2, booked=1)),
    )
    assert names(decided) == ["small"]


def test_what_was_admitted_before_keeps_its_room() -> None:
    decided = decide([a_task("new")], a_cluster(a_node(cores=1)), admitted=[a_task("old")])
    assert decided.admitted == ()


def test_no_more_are_admitted_than_allowed_and_the_rest_is_queued() -> None:
    tasks = [a_task(name, submitted=index, cores=0.1) for index, name in enumerate("abc")]
    decided = decide(tasks, a_cluster(a_node()), admitted=[a_task("old", cores=0.1)], max_admitted=2)
    assert names(decided) == ["a"]
    assert decided.reasons == {tasks[1].ref: QUEUED, tasks[2].ref: QUEUED}


def test_an_unsatisfiable_task_is_told_so_even_when_no_more_are_admitted() -> None:
    huge = a_task("huge", cores=64)
    decided = decide([huge], a_cluster(a_node("n1"), a_node("n2", cores=4)), max_admitted=0)
    reason = decided.reasons[huge.ref]
    assert reason.code is ReasonCode.UNSATISFIABLE
    assert "needs 64 cores" in reason.text
    assert "n1: has 2 cores" in reason.text
    assert "n2: has 4 cores" in reason.text


def test_a_task_that_waiting_may_help_is_not_unsatisfiable() -> None:
    task = a_task(cores=2)
    decided = decide([task], a_cluster(a_node("n1", cores=1), a_node("n2", cores=2, booked=1)))
    assert decided.reasons[task.ref].code is ReasonCode.NO_ROOM


def test_without_nodes_everybody_waits_for_one() -> None:
    task = a_task()
    assert decide([task], a_cluster()).reasons[task.ref].code is ReasonCode.NO_NODES


def test_a_task_in_back_off_is_not_admitted_and_says_until_when() -> None:
    task = a_task()
    failed = Reason(code=ReasonCode.EXIT_CODE, text="exit code 1")
    decided = decide([Queued(task=task, not_before=NOON + seconds(30), reason=failed)], a_cluster(a_node()))
    assert decided.admitted == ()
    assert decided.reasons[task.ref].code is ReasonCode.RETRY_BACKOFF
    assert "12:00:30" in decided.reasons[task.ref].text
    assert "exit code 1" in decided.reasons[task.ref].text


def test_a_task_is_admitted_when_its_back_off_is_over() -> None:
    decided = decide([Queued(task=a_task(), not_before=NOON)], a_cluster(a_node()))
    assert len(decided.admitted) == 1


def test_what_the_placer_said_of_a_resting_task_stays() -> None:
    said = Reason(code=ReasonCode.UNKNOWN_STRATEGY, text="no such strategy")
    decided = decide([Queued(task=a_task(), not_before=NOON + seconds(9), reason=said)], a_cluster(a_node()))
    assert decided.reasons == {}
    assert decided.waiting == {ReasonCode.UNKNOWN_STRATEGY: 1}


def test_an_unknown_or_broken_policy_holds_up_only_its_own_tasks() -> None:
    tasks = {name: a_task(name, policy=name) for name in ("fifo", "missing", "fails", "forgets")}
    decided = decide(list(tasks.values()), a_cluster(a_node(cores=8)))
    assert names(decided) == ["fifo"]
    assert {reason.code for reason in decided.reasons.values()} == {ReasonCode.UNKNOWN_POLICY}
    assert "not installed" in decided.reasons[tasks["missing"].ref].text
    told = decided.reasons[tasks["fails"].ref].text
    assert told == "policy 'fails' failed: RuntimeError: no idea of [a task]", (
        "it names no task: it was shown those of all"
    )
    assert "exactly once" in decided.reasons[tasks["forgets"].ref].text


def test_policies_take_turns_by_the_submission_of_their_heads() -> None:
    first = [a_task("a", submitted=1), a_task("c", submitted=3)]
    second = [a_task("b", submitted=2), a_task("d", submitted=0)]
    assert [task.ref.path for task in merged([first, second, []])] == ["a", "b", "d", "c"]


def test_reasons_that_did_not_change_are_not_written() -> None:
    task = a_task(cores=2)
    cluster = a_cluster(a_node(cores=2, booked=1))
    shown = decide([task], cluster).reasons[task.ref]
    assert decide([Queued(task=task, reason=shown)], cluster).reasons == {}


def test_a_bounded_number_of_sentences_is_refreshed() -> None:
    stale = Reason(code=ReasonCode.NO_ROOM, text="other figures")
    queue = [Queued(task=a_task(f"t{index}"), reason=stale) for index in range(REFRESHED_TEXTS + 50)]
    full = a_cluster(a_node(cores=2, booked=2))
    assert len(decide(queue, full).reasons) == REFRESHED_TEXTS
    new = [replace(queued, reason=None) for queued in queue]
    assert len(decide(new, full).reasons) == len(new)


def naive(tasks: Sequence[WaitingTask], cluster: Cluster, limit: int) -> list[TaskRef]:
    """The simple algorithm of the module's docstring, word for word."""
    admitted: list[TaskRef] = []
    for task in sorted(tasks, key=lambda t: (t.submitted_at, t.ready_at, t.ref.path, t.ref.run_id)):
        fitting = [view for view in cluster.nodes if exclusion(task.spec, view, cluster) is None]
        if fitting and len(admitted) < limit:
            admitted.append(task.ref)
            cluster = cluster.with_booking(fitting[0].name, effective_resources(task.spec))
    return admitted


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 5), st.sampled_from(["", "n1", "n2"])), max_size=25
    ),
    st.lists(st.integers(1, 40), max_size=4),
    st.integers(0, 30),
)
def test_the_fast_walk_equals_the_simple_one(
    shapes: list[tuple[int, int, str]], sizes: list[int], limit: int
) -> None:
    tasks = [
        a_task(
            f"t{index}",
            submitted=submitted,
            cores=tenths / 10,
            memory=10,
            requirements=Requirements(nodes=(NodeName(node),) if node else ()),
        )
        for index, (tenths, submitted, node) in enumerate(shapes)
    ]
    cluster = a_cluster(*(a_node(f"n{index}", cores=tenths / 10) for index, tenths in enumerate(sizes)))
    decided = decide(tasks, cluster, max_admitted=limit)
    assert refs(decided) == naive(tasks, cluster, limit)
    assert decided.reasons.keys() | set(refs(decided)) == {task.ref for task in tasks}
