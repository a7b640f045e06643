from datetime import UTC, datetime, timedelta

import pytest

from nodewise.core.feasibility import exclusion, exclusion_of, lasting_exclusion
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath
from nodewise.core.model.node import Cluster, Figure, Node, NodeView, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DatasetFacts, Requirements, TaskSpec, WaitingTask
from tests.support.builders import a_task

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = Resources(millicores=2000, memory_mib=4096, gpus=1)


def view(**changes: object) -> NodeView:
    node = Node(name=NodeName("n1"), capacity=SIZE, accelerator="a100", labels={"zone": "a"})
    return NodeView(**{"node": node, **changes})  # type: ignore[arg-type]


def spec(**changes: object) -> TaskSpec:
    small = Resources(millicores=1000, memory_mib=1024)
    return TaskSpec(**{"path": TaskPath("t"), "component": "t", "resources": small, **changes})  # type: ignore[arg-type]


def cluster(node: NodeView) -> Cluster:
    return Cluster(nodes=(node,), taken_at=NOW, staleness_limit=timedelta(seconds=60))


def available(mib: float, age: timedelta) -> Observation:
    return Observation(available_memory_mib=Figure(value=mib, measured_at=NOW - age))


def test_a_node_with_room_takes_the_task() -> None:
    node = view()
    assert exclusion(spec(), node, cluster(node)) is None


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (spec(requirements=Requirements(engine="kubeflow")), ReasonCode.OTHER_ENGINE),
        (spec(requirements=Requirements(containers=True)), ReasonCode.NO_CONTAINER_RUNTIME),
        (spec(requirements=Requirements(nodes=(NodeName("n2"),))), ReasonCode.NODE_NOT_ALLOWED),
        (spec(requirements=Requirements(architectures=("arm64",))), ReasonCode.ARCHITECTURE),
        (spec(requirements=Requirements(worker_types=("low-cpu",))), ReasonCode.WORKER_TYPE),
        (spec(requirements=Requirements(accelerator="tpu")), ReasonCode.ACCELERATOR),
        (spec(requirements=Requirements(labels={"zone": "b"})), ReasonCode.LABEL),
        (spec(resources=Resources(millicores=2001)), ReasonCode.CPU_TOO_SMALL),
        (spec(resources=Resources(memory_mib=4097)), ReasonCode.MEMORY_TOO_SMALL),
        (spec(resources=Resources(gpus=2)), ReasonCode.GPU_TOO_FEW),
    ],
)
def test_what_waiting_cannot_cure_is_permanent(task: TaskSpec, code: ReasonCode) -> None:
    node = view()
    found = exclusion(task, node, cluster(node))
    assert found is not None
    assert (found.code, found.permanent) == (code, True)


@pytest.mark.parametrize(
    ("booked", "task", "code"),
    [
        (Resources(millicores=1500), spec(), ReasonCode.CPU_BOOKED),
        (Resources(memory_mib=4000), spec(), ReasonCode.MEMORY_BOOKED),
        (Resources(gpus=1), spec(resources=Resources(gpus=1)), ReasonCode.GPU_BOOKED),
    ],
)
def test_what_is_booked_comes_back(booked: Resources, task: TaskSpec, code: ReasonCode) -> None:
    node = view(booked=booked)
    found = exclusion(task, node, cluster(node))
    assert found is not None
    assert (found.code, found.permanent) == (code, False)


def test_room_for_twice_the_data_set_is_needed() -> None:
    node = view()
    fits = spec(dataset=DatasetFacts(samples=2048 * 1024, features=128))  # 2 GiB, twice is 4 GiB
    too_large = spec(dataset=DatasetFacts(samples=2049 * 1024, features=128))
    assert exclusion(fits, node, cluster(node)) is None
    found = exclusion(too_large, node, cluster(node))
    assert found is not None
    assert found.code is ReasonCode.MEMORY_TOO_SMALL


def test_measured_memory_counts_while_it_is_fresh_and_is_unknown_after() -> None:
    fresh = view(observation=available(512, timedelta(seconds=59)))
    stale = view(observation=available(512, timedelta(seconds=61)))
    found = exclusion(spec(), fresh, cluster(fresh))
    assert found is not None
    assert found.code is ReasonCode.MEMORY_IN_USE
    assert exclusion(spec(), stale, cluster(stale)) is None


def test_a_node_with_all_slots_taken_takes_no_more() -> None:
    node = view(slots=1)
    assert exclusion(spec(), node, cluster(node)) is None
    full = node.with_booking(Resources())
    found = exclusion(spec(), full, cluster(full))
    assert found is not None
    assert (found.code, found.permanent) == (ReasonCode.SLOTS_TAKEN, False)


def admitted_to(*names: str, task: TaskSpec | None = None) -> WaitingTask:
    return a_task(spec=task or spec(), allowed_nodes=tuple(NodeName(name) for name in names))


def test_a_node_that_the_scheduler_admitted_it_to_takes_the_task() -> None:
    node = view()
    assert exclusion_of(a_task(spec=spec()), node, cluster(node)) is None
    assert exclusion_of(admitted_to("n1"), node, cluster(node)) is None


def test_a_node_that_a_plan_did_not_choose_is_out_for_now() -> None:
    node = view()
    found = exclusion_of(admitted_to("n3"), node, cluster(node))
    assert found is not None
    assert (found.node, found.code) == ("n1", ReasonCode.NOT_PLANNED)
    assert found.text == "the scheduler admitted it to n3 only"
    assert not found.permanent


def test_a_node_that_is_kept_free_for_others_is_out_for_now() -> None:
    node = view()
    found = exclusion_of(admitted_to("n2", "n3"), node, cluster(node))
    assert found is not None
    assert found.code is ReasonCode.KEPT_FREE
    assert not found.permanent


def test_what_a_node_itself_lacks_is_said_before_where_a_task_was_admitted() -> None:
    node = view(booked=SIZE)
    found = exclusion_of(admitted_to("n3"), node, cluster(node))
    assert found is not None
    assert found.code is ReasonCode.CPU_BOOKED


def test_lasting_rules_do_not_look_at_what_is_booked() -> None:
    node = view(booked=SIZE)
    assert lasting_exclusion(spec(), node.node) is None
    large = spec(resources=Resources(millicores=3000, memory_mib=1))
    found = lasting_exclusion(large, node.node)
    assert found == exclusion(large, node, cluster(node))
    assert found is not None
    assert found.permanent


def a_runtime(**changes: object) -> Node:
    return Node(**{"name": NodeName("n1"), "capacity": SIZE, "container_runtime": "podman", **changes})  # type: ignore[arg-type]


def test_who_brings_an_image_goes_where_a_container_runtime_is() -> None:
    assert lasting_exclusion(spec(requirements=Requirements(containers=True)), a_runtime()) is None
    found = lasting_exclusion(spec(requirements=Requirements(containers=True)), view().node)
    assert found is not None
    assert found.text == "has no container runtime, and the task brings its own image"


def test_a_container_runtime_keeps_nobody_away() -> None:
    assert lasting_exclusion(spec(), a_runtime()) is None


def test_a_node_serves_the_runs_of_its_own_engine_only() -> None:
    of_kubeflow = Requirements(engine="kubeflow")
    assert lasting_exclusion(spec(requirements=of_kubeflow), a_runtime(engine="kubeflow")) is None
    for wanted, node in ((of_kubeflow, a_runtime()), (Requirements(), a_runtime(engine="kubeflow"))):
        found = lasting_exclusion(spec(requirements=wanted), node)
        assert found is not None
        assert (found.code, found.text) == (
            ReasonCode.OTHER_ENGINE,
            f"belongs to engine {node.engine}, the run to {wanted.engine}",
        )


def test_the_engine_is_said_before_what_else_is_wrong() -> None:
    wanted = Requirements(
        engine="kubeflow", containers=True, nodes=(NodeName("n2"),), architectures=("arm64",)
    )
    codes = []
    for node in (view().node, a_runtime(engine="kubeflow", container_runtime=None)):
        found = lasting_exclusion(spec(requirements=wanted), node)
        assert found is not None
        codes.append(found.code)
    assert codes == [ReasonCode.OTHER_ENGINE, ReasonCode.NO_CONTAINER_RUNTIME]
