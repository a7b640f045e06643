"""What later tasks may do while room is kept for the first one that finds none, and who comes first after waiting long."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.learning import Prediction
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import Requirements, TaskFacts, WaitingTask
from nodewise.scheduler.cycle import AdmittedTask, Plan, Queued, Snapshot, plan
from nodewise.scheduler.policies.fifo import Fifo
from nodewise.scheduler.policies.shortest import Shortest
from tests.support.builders import NOON, a_cluster, a_node, a_task, policy_context, run_id, seconds
from tests.support.forecasts import a_prediction

N1, N2 = NodeName("n1"), NodeName("n2")


def lives(name: str, node: str, *, cores: float, ends: float) -> Occupancy:
    """A live task that is believed to end so many seconds after noon."""
    return Occupancy(
        ref=TaskRef(run_id=run_id(99), path=TaskPath(name)),
        node=NodeName(node),
        resources=Resources(millicores=round(cores * 1000)),
        placed_at=NOON,
        started_at=NOON,
        prediction=a_prediction(ends),
    )


def decide(
    tasks: Sequence[WaitingTask],
    cluster: Cluster,
    *,
    takes: Mapping[str, float],
    running: Sequence[Occupancy] = (),
    admitted: Sequence[AdmittedTask] = (),
    ageing: timedelta = timedelta(hours=1),
) -> Plan:
    """`takes`: the upper end of each task's interval, by path; its median is half of that."""

    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        high = takes.get(task.ref.path, 1.0)
        return a_prediction(high / 2, high=high)

    snapshot = Snapshot(
        queue=tuple(Queued(task=task) for task in tasks),
        cluster=cluster,
        running=tuple(running),
        admitted=tuple(admitted),
    )
    context = replace(policy_context(), cluster=cluster, predict=predict)
    policies = {"fifo": Fifo(), "shortest": Shortest()}
    return plan(snapshot, policies, context, max_admitted=1000, ageing=ageing)


def admissions(decided: Plan) -> dict[str, tuple[NodeName, ...] | None]:
    return {admission.ref.path: admission.nodes for admission in decided.admitted}


def busy(name: str = "n1", *, cores: float = 4, booked: float = 3, **fields: object) -> NodeView:
    return replace(a_node(name, cores=cores, booked=booked, **fields), running_tasks=1)


LARGE = a_task("large", cores=4)


def test_what_is_over_in_time_passes_and_what_is_not_waits() -> None:
    tasks = [LARGE, a_task("long", submitted=1, cores=0.5), a_task("short", submitted=2, cores=0.5)]
    decided = decide(
        tasks,
        a_cluster(busy()),
        running=[lives("r", "n1", cores=3, ends=130)],
        takes={"long": 131, "short": 130},
    )
    assert admissions(decided) == {"short": None}
    reason = decided.reasons[tasks[1].ref]
    assert reason.code is ReasonCode.KEPT_FREE
    assert reason.text == (
        f"n1 is kept free for {LARGE.ref} from about 12:02:10 UTC; "
        "this one may run until about 12:02:11 UTC there"
    )
    assert decided.reasons[LARGE.ref].code is ReasonCode.NO_ROOM


def test_a_long_task_goes_to_another_node() -> None:
    tasks = [LARGE, a_task("long", submitted=1)]
    decided = decide(
        tasks,
        a_cluster(busy("n1"), a_node("n2", cores=2), a_node("n3", cores=2)),
        running=[lives("r", "n1", cores=3, ends=10)],
        takes={"long": 1000},
    )
    assert admissions(decided) == {"long": (N2, NodeName("n3"))}


def test_long_tasks_pass_as_long_as_there_is_room_beside_the_reserved_one() -> None:
    large = a_task("large", cores=3)
    tasks = [large, *(a_task(f"long{i}", submitted=1 + i, cores=1) for i in range(2))]
    decided = decide(
        tasks,
        a_cluster(busy(cores=4, booked=2)),
        running=[lives("r", "n1", cores=2, ends=10)],
        takes={"long0": 1000, "long1": 1000},
    )
    assert admissions(decided) == {"long0": (N1,)}
    assert decided.reasons[tasks[2].ref].code is ReasonCode.KEPT_FREE


def test_room_is_kept_where_it_is_first_there() -> None:
    """Two small tasks end later on n1 than one large one on n2."""
    cluster = a_cluster(busy("n1", cores=4, booked=4), busy("n2", cores=4, booked=3))
    running = [
        lives("a", "n1", cores=2, ends=5),
        lives("b", "n1", cores=2, ends=90),
        lives("c", "n2", cores=3, ends=60),
    ]
    tasks = [LARGE, a_task("long", submitted=1)]
    decided = decide(tasks, cluster, running=running, takes={"long": 70})
    assert decided.reasons[tasks[1].ref].text.startswith("n2 is kept free")


def test_slots_are_kept_like_other_room() -> None:
    cluster = a_cluster(replace(busy(cores=9, booked=1), slots=1))
    tasks = [a_task("first"), a_task("second", submitted=1)]
    decided = decide(tasks, cluster, running=[lives("r", "n1", cores=1, ends=60)], takes={})
    assert {reason.code for reason in decided.reasons.values()} == {ReasonCode.NO_ROOM}


def test_no_room_is_kept_for_what_waiting_cannot_help_nor_for_what_ends_nobody_knows() -> None:
    later = a_task("later", submitted=1, cores=1)
    takes = {"later": 1000.0}
    unsatisfiable = decide([a_task("huge", cores=99), later], a_cluster(busy()), takes=takes)
    assert admissions(unsatisfiable) == {"later": None}
    unknown = decide([LARGE, later], a_cluster(busy()), takes=takes)
    assert admissions(unknown) == {"later": None}


def test_what_a_placer_is_about_to_place_holds_room_for_as_long_as_it_is_believed_to_run() -> None:
    coming = a_task("coming", cores=3)
    tasks = [LARGE, a_task("long", submitted=1, cores=1)]
    decided = decide(
        tasks,
        a_cluster(a_node(cores=4)),
        admitted=[AdmittedTask(ref=coming.ref, spec=coming.spec, allowed_nodes=(N1,))],
        takes={"coming": 20, "long": 30},
    )
    assert "from about 12:00:10 UTC" in decided.reasons[tasks[1].ref].text


def test_who_has_waited_too_long_comes_first_oldest_first_under_every_policy() -> None:
    tasks = [
        a_task("long", ready=-100, cores=2, task_class="l", policy="shortest"),
        a_task("longest", submitted=-500, ready=-90, cores=2, task_class="m", policy="shortest"),
        a_task("short", submitted=-700, ready=-10, cores=2, task_class="s"),
    ]
    takes = {"long": 900.0, "longest": 5000.0, "short": 1.0}
    cluster = a_cluster(a_node(cores=2))
    for count, first in ((3, "long"), (2, "longest"), (1, "short")):
        decided = decide(tasks[3 - count :], cluster, takes=takes, ageing=seconds(60))
        assert list(admissions(decided)) == [first]
    assert list(admissions(decide(tasks, cluster, takes=takes))) == ["short"]


shapes = st.lists(
    st.tuples(st.integers(1, 30), st.integers(1, 60), st.sampled_from(["", "n1", "n2"])), max_size=20
)
holders = st.lists(
    st.tuples(st.sampled_from(["n1", "n2"]), st.integers(1, 20), st.integers(1, 60)), max_size=8
)


@given(shapes, holders)
def test_nobody_delays_whom_room_is_kept_for(
    shapes: list[tuple[int, int, str]], holders: list[tuple[str, int, int]]
) -> None:
    """Wherever the placer puts them, and if all take as long as they may, the reserved one still starts in time."""
    free = {"n1": 40, "n2": 30}
    running = []
    for index, (node, tenths, ends) in enumerate(holders):
        if free[node] >= tenths:
            free[node] -= tenths
            running.append(lives(f"r{index}", node, cores=tenths / 10, ends=ends))
    cluster = a_cluster(
        a_node("n1", cores=4, booked=(40 - free["n1"]) / 10),
        a_node("n2", cores=3, booked=(30 - free["n2"]) / 10),
    )
    tasks = [
        a_task(
            f"t{index}",
            submitted=index,
            cores=tenths / 10,
            memory=0,
            requirements=Requirements(nodes=(NodeName(node),) if node else ()),
        )
        for index, (tenths, _, node) in enumerate(shapes)
    ]
    takes = {f"t{index}": float(high) for index, (_, high, _) in enumerate(shapes)}
    decided = decide(tasks, cluster, running=running, takes=takes)
    by_ref = {task.ref: task for task in tasks}
    kept = next((r.text for r in decided.reasons.values() if r.code is ReasonCode.KEPT_FREE), None)
    if kept is None:
        return
    node, _, rest = kept.partition(" is kept free for ")
    reserved = next(task for task in tasks if rest.startswith(f"{task.ref} from"))
    hour, minute, second = rest.partition("from about ")[2][:8].split(":")
    at = (int(hour) - 12) * 3600 + int(minute) * 60 + int(second)
    need = effective_resources(reserved.spec).millicores
    still = sum(live.resources.millicores for live in running if live.node == node and ending(live) > at)
    for admission in decided.admitted:
        task = by_ref[admission.ref]
        allowed = admission.nodes or task.spec.requirements.nodes or (N1, N2)
        later = task.submitted_at > reserved.submitted_at
        # Fractions of a second are not told; an end within the second of the start counts as in time.
        if later and node in allowed and takes[task.ref.path] >= at + 1:
            still += effective_resources(task.spec).millicores
    capacity = {view.name: view.node.capacity.millicores for view in cluster.nodes}[NodeName(node)]
    assert still + need <= capacity


def ending(live: Occupancy) -> float:
    assert live.prediction is not None
    return live.prediction.median_seconds
