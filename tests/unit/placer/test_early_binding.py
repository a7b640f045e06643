"""Binding a run as a whole: what starts now on the cluster as it is, the rest on the cluster as it will be."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from nodewise.core.engine.kubeflow.paths import in_the_ir
from nodewise.core.model.decision import Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import Requirements
from nodewise.placer.kubeflow.binding import Binding, Unbound, bind, nodes_by_leaf
from nodewise.placer.mapping import MappingContext
from nodewise.placer.strategies.greedy import Greedy
from nodewise.placer.strategies.planned import Heft
from tests.support.builders import NOON, a_cluster, a_node, a_spec, a_task, run_id
from tests.support.forecasts import a_prediction, exactly

ALWAYS_TEN = exactly(lambda task, node: 10.0)


def unbound(
    path: str, *upstream: str, admitted: bool = False, expected: str | None = None, **fields: Any
) -> Unbound:
    task = a_task(path, run=1, **fields)
    spec = replace(task.spec, upstream=tuple(TaskPath(up) for up in upstream))
    node = None if expected is None else NodeName(expected)
    return Unbound(task=replace(task, spec=spec, strategy="greedy"), admitted=admitted, expected_node=node)


def bound(
    *tasks: Unbound, cluster: Cluster, running: tuple[Occupancy, ...] = (), strategy: str = "greedy"
) -> Binding:
    chosen = [replace(one, task=replace(one.task, strategy=strategy)) for one in tasks]
    context = MappingContext(
        strategies={"greedy": Greedy(), "heft": Heft()},
        now=NOON,
        rng=Random(1),
        predict=ALWAYS_TEN,
        running=running,
        costs_told=True,
    )
    return bind(chosen, cluster, context)


def nodes_of(binding: Binding) -> dict[str, str]:
    assert binding.refused is None
    return {one.ref.path: one.node for one in (*binding.placed_now, *binding.later)}


def holding(node: str, *, seconds: float, cores: float = 1) -> Occupancy:
    return Occupancy(
        ref=TaskRef(run_id=run_id(9), path=TaskPath(f"other-{node}-{seconds}")),
        node=NodeName(node),
        resources=Resources(millicores=round(cores * 1000), memory_mib=10),
        placed_at=NOON,
        started_at=NOON,
        prediction=a_prediction(seconds),
    )


def full(name: str, cores: float = 1) -> Any:
    view = a_node(name, cores=cores)
    return replace(view, booked=Resources(millicores=round(cores * 1000), memory_mib=10), running_tasks=1)


def test_the_whole_run_gets_nodes_in_an_order_in_which_it_could_run() -> None:
    binding = bound(
        unbound("a", admitted=True), unbound("b", "a"), unbound("c", "b"), cluster=a_cluster(a_node("n1"))
    )
    assert nodes_of(binding) == {"a": "n1", "b": "n1", "c": "n1"}
    assert [one.ref.path for one in binding.later] == ["b", "c"]


def test_what_has_ended_by_then_leaves_its_room() -> None:
    """n1 is full now, but free in five seconds; n2 is taken by the first task until then and longer."""
    cluster = a_cluster(full("n1"), a_node("n2", cores=1))
    binding = bound(
        unbound("a", admitted=True),
        unbound("b", "a"),
        cluster=cluster,
        running=(holding("n1", seconds=5),),
    )
    assert nodes_of(binding)["a"] == "n2"
    assert "nothing is believed to be free" not in binding.later[0].reason.text


def test_tasks_that_run_at_the_same_time_do_not_share_room() -> None:
    cluster = a_cluster(a_node("n1", cores=1), a_node("n2", cores=1))
    binding = bound(unbound("a", admitted=True), unbound("b", "a"), unbound("c", "a"), cluster=cluster)
    nodes = nodes_of(binding)
    assert {nodes["b"], nodes["c"]} == {"n1", "n2"}


def test_more_than_there_will_be_room_for_is_bound_all_the_same() -> None:
    binding = bound(
        unbound("a", admitted=True),
        *(unbound(f"b{number}", "a") for number in range(5)),
        cluster=a_cluster(a_node("n1", cores=1)),
    )
    assert set(nodes_of(binding).values()) == {"n1"}
    assert "nothing is believed to be free by then" in binding.later[-1].reason.text


def test_a_plan_decides_where_there_is_one() -> None:
    cluster = a_cluster(a_node("n1", cores=8), a_node("n2", cores=1))
    binding = bound(
        unbound("a", admitted=True), unbound("b", "a", expected="n2"), cluster=cluster, strategy="heft"
    )
    assert nodes_of(binding)["b"] == "n2"


def test_a_plan_that_names_a_node_that_is_gone_does_not() -> None:
    binding = bound(
        unbound("a", admitted=True), unbound("b", "a", expected="gone"), cluster=a_cluster(a_node("n1"))
    )
    assert nodes_of(binding)["b"] == "n1"


def test_the_time_of_a_later_task_is_told() -> None:
    binding = bound(
        unbound("a", admitted=True), unbound("b", "a"), unbound("c", "b"), cluster=a_cluster(a_node("n1"))
    )
    assert [one.reason.text.partition(": ")[0] for one in binding.later] == [
        f"bound before its turn, expected about {NOON + timedelta(seconds=after):%H:%M:%S} UTC"
        for after in (10, 20)
    ]


def test_a_task_that_no_node_can_take_refuses_the_run() -> None:
    impossible = unbound("b", "a")
    wanted = Requirements(architectures=("riscv",))
    spec = replace(impossible.task.spec, requirements=wanted)
    impossible = replace(impossible, task=replace(impossible.task, spec=spec))
    binding = bound(unbound("a", admitted=True), impossible, cluster=a_cluster(a_node("n1")))
    assert binding.later == ()
    assert isinstance(binding.refused, Deferral)
    assert binding.refused.ref.path == "b"
    assert binding.refused.reason.code is ReasonCode.UNSATISFIABLE


def test_a_run_of_which_nothing_can_start_is_not_bound() -> None:
    binding = bound(unbound("a", admitted=True), unbound("b", "a"), cluster=a_cluster(full("n1")))
    assert isinstance(binding.now[0], Deferral)
    assert (binding.placed_now, binding.later, binding.refused) == ((), (), None)


def test_an_admitted_task_that_found_no_room_is_bound_with_the_rest() -> None:
    binding = bound(
        unbound("a", admitted=True), unbound("b", admitted=True), cluster=a_cluster(a_node("n1", cores=1))
    )
    assert [type(one) for one in binding.now] == [Placement, Deferral]
    assert nodes_of(binding) == {"a": "n1", "b": "n1"}


@pytest.mark.parametrize("seed", range(3))
def test_equal_questions_get_equal_answers(seed: int) -> None:
    rng = Random(seed)
    tasks = [unbound("t0", admitted=True)]
    tasks += [unbound(f"t{n}", f"t{rng.randrange(n)}") for n in range(1, 12)]
    cluster = a_cluster(a_node("n1", cores=1), a_node("n2", cores=2))
    assert bound(*tasks, cluster=cluster) == bound(*tasks, cluster=cluster)


def placed(path: str, node: str) -> Placement:
    return Placement(
        ref=TaskRef(run_id=run_id(1), path=TaskPath(path)),
        node=NodeName(node),
        reason=Reason(code=ReasonCode.PLACED, text=""),
    )


def leaves_of(*placements: Placement, open_loops: tuple[str, ...] = ()) -> dict[str, list[NodeName]]:
    """n2 has not what they need, n3 is of another kind."""
    nodes = [
        a_node(f"n{n}", architecture="arm64" if n == 3 else "amd64", cores=1 if n == 2 else 2)
        for n in range(5)
    ]
    specs = {one.ref: a_spec(one.ref.path, cores=2) for one in placements}
    return nodes_by_leaf(placements, in_the_ir, cluster=a_cluster(*nodes), open_loops=open_loops, specs=specs)


def test_rounds_of_a_loop_share_the_nodes_of_all_of_them() -> None:
    rounds = [placed(f"loop[{n}].a", f"n{n % 2}") for n in range(4)]
    assert leaves_of(*rounds) == {"loop.a": ["n0", "n1"]}


def test_rounds_that_nobody_can_count_yet_get_all_nodes_of_one_kind_that_could_take_them() -> None:
    found = leaves_of(placed("loop[0].a", "n0"), placed("b", "n0"), open_loops=("loop.a",))
    assert found == {"b": ["n0"], "loop.a": ["n0", "n1", "n4"]}
